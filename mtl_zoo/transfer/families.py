"""The distributions of labels that activations stand for: their means, their log-likelihoods, their draws."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo.kinds import MAX_EXPONENT, kind_of, ordinal_log_probabilities, ordinal_probabilities


class Family(NamedTuple):
    """A family of distributions of labels, along the last axis of a task's output.

    Args:
        parameters: Function of what the model answers that returns natural parameters, of the same shape.
        mean: Function of parameters that returns the mean of the labels; of one class, of its one-hot label.
        log_likelihood: Function of labels and parameters that returns, value by value, what does not depend
            on labels alone.
        draw: Function of parameters and a seed of Keras that returns labels, of the same shape.
    """

    parameters: Callable
    mean: Callable
    log_likelihood: Callable
    draw: Callable


def _same(outputs):
    return outputs


def _rate(parameters):
    return ops.exp(ops.minimum(parameters, MAX_EXPONENT))


def _of_class(labels, parameters):
    return labels * ops.log_softmax(parameters, axis=-1)


def _of_yes_or_no(labels, parameters):
    return labels * parameters - ops.softplus(parameters)


def _of_count(labels, parameters):
    return labels * parameters - _rate(parameters)


def _of_number(labels, parameters):
    return -0.5 * ops.square(labels - parameters)


def _draw_class(parameters, seed):
    rows = ops.reshape(parameters, (-1, parameters.shape[-1]))
    drawn = keras.random.categorical(rows, 1, seed=seed)[:, 0]
    return ops.reshape(ops.one_hot(drawn, rows.shape[-1], dtype=rows.dtype), ops.shape(parameters))


def _draw_yes_or_no(parameters, seed):
    uniform = keras.random.uniform(ops.shape(parameters), dtype=parameters.dtype, seed=seed)
    return ops.cast(uniform < ops.sigmoid(parameters), parameters.dtype)


def _draw_count(parameters, seed):
    seed = tf.cast(seed.next(), tf.int64)
    return tf.random.stateless_poisson(tf.shape(parameters), seed, _rate(parameters), parameters.dtype)


def _draw_number(parameters, seed):
    return parameters + keras.random.normal(ops.shape(parameters), dtype=parameters.dtype, seed=seed)


FAMILIES = {
    "categorical": Family(_same, ops.softmax, _of_class, _draw_class),
    "ordinal": Family(ordinal_log_probabilities, ops.softmax, _of_class, _draw_class),
    "bernoulli": Family(_same, ops.sigmoid, _of_yes_or_no, _draw_yes_or_no),
    "poisson": Family(_same, _rate, _of_count, _draw_count),
    "gaussian": Family(_same, _same, _of_number, _draw_number),
}
OF_ACTIVATIONS = {
    keras.activations.softmax: "categorical",
    ordinal_probabilities: "ordinal",
    keras.activations.sigmoid: "bernoulli",
    keras.activations.exponential: "poisson",
    keras.activations.linear: "gaussian",
}


def family_of(task):
    """Return the name of the family of a task, of those in `FAMILIES`; `None` if it has none.

    Args:
        task: `Task`. That of a ranking is an order of candidates, of which scores alone are no distribution.

    Example:

    >>> family_of(mz.Task.multilabel("tags", 3)), family_of(mz.Task.count("visits"))
    ('bernoulli', 'poisson')
    """
    return None if kind_of(task) == "ranking" else OF_ACTIVATIONS.get(task.activation)
