"""What `GradientMonitor` computes: the sizes of gradients and updates, and what is wrong with them."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.training import gradients, sparse
from mtl_zoo.training.forward import restored


class Alert(NamedTuple):
    """Something that is wrong with a task's gradient.

    Args:
        step: Number of training steps made when it was first seen.
        kind: `"dead"`, `"vanishing"` or `"exploding"`.
        task: Name of the task.
        layer: Name of the layer, `None` for a dead task.
        message: What was found, in a sentence.
    """

    step: int
    kind: str
    task: str
    layer: str | None
    message: str


class Health(NamedTuple):
    """Measurements of one step, as NumPy arrays.

    Args:
        norms: `[layers, tasks]`, the norm of a task's gradient of a layer; NaN if it is not finite.
        reached: `[layers, tasks]`, whether the task's loss depends on the layer.
        cosines: `[tasks, tasks]`, of the gradients of the variables that both tasks reach; NaN without any.
        ratios: `[layers]`, the norm of a layer's last update over that of its weights.
    """

    norms: np.ndarray
    reached: np.ndarray
    cosines: np.ndarray
    ratios: np.ndarray


def trainable_layers(model):
    """Return the variables of every layer that has trainable ones, in graph order.

    Args:
        model: Functional `keras.Model`.

    Returns:
        Dict from the layers' names to lists of variables, each in one list. Layers of an inner model have
        its name before theirs: `encoder/conv_1`.
    """
    found, seen = {}, set()
    for name, layer in _walk(model):
        variables = [variable for variable in layer.trainable_variables if id(variable) not in seen]
        seen.update(map(id, variables))
        if variables:
            found[name] = variables
    return found


def make_measure(trainer, layers):
    """Return a function that measures gradients on a batch, compiled unless the trainer runs eagerly.

    Args:
        trainer: `Trainer`, compiled.
        layers: Dict as `trainable_layers` returns it.

    Returns:
        Function from inputs, labels, sample weights and the weights before the last update, one tensor per
        variable in the order of `layers`, to a `Health` of tensors.
    """
    local = trainer.distribute_strategy.experimental_local_results
    variables = [local(variable.value)[0] for found in layers.values() for variable in found]
    owners = np.repeat(np.arange(len(layers)), [len(found) for found in layers.values()])

    def by_layer(values):
        return tf.math.unsorted_segment_sum(tf.stack(values), owners, len(layers))

    def measure(x, labels, sample_weight, before):
        with tf.GradientTape(persistent=True) as tape:
            losses = _losses(trainer, x, labels, sample_weight)
        pull = gradients.puller(tape, trainer.optimizer.scale_loss(1.0))
        rows = gradients.jacobian(pull, [losses], variables, [tf.unstack(tf.ones(len(losses)))])
        columns = list(zip(*rows, strict=True))
        reached = np.array([[gradient is not None for gradient in column] for column in columns])
        products = [_products(column) for column in columns]
        changes = [tf.subtract(variable, old) for variable, old in zip(variables, before, strict=True)]
        lengths = tf.sqrt(by_layer([_square(variable) for variable in variables]))
        return Health(
            norms=tf.sqrt(by_layer([tf.linalg.diag_part(product) for product in products])),
            reached=by_layer(list(reached.astype("int32"))) > 0,
            cosines=_cosines(tf.stack(products), reached),
            ratios=tf.math.divide_no_nan(tf.sqrt(by_layer([_square(change) for change in changes])), lengths),
        )

    return measure if trainer.run_eagerly else tf.function(measure, autograph=False)


def find(health, tasks, layers, vanishing_ratio, vanishing_norm, exploding_norm, overflow_is_handled=False):
    """Return what is wrong with the gradients.

    Args:
        health: `Health` of arrays.
        tasks: Names of the tasks.
        layers: Names of the layers in graph order.
        vanishing_ratio: As for `GradientMonitor`.
        vanishing_norm: As for `GradientMonitor`.
        exploding_norm: As for `GradientMonitor`.
        overflow_is_handled: Whether a norm that is not finite is no alert. Defaults to `False`.

    Returns:
        List of tuples of an alert's kind, task, layer and message.
    """
    found = []
    for task, norms, reached in zip(tasks, health.norms.T, health.reached.T, strict=True):
        places = np.flatnonzero(reached)
        if not norms[places].any():
            found.append(("dead", task, None, f"No layer receives a gradient from task '{task}'."))
            continue
        for index, place in enumerate(places):
            norm, layer = norms[place], layers[place]
            if overflow_is_handled and not np.isfinite(norm):
                continue
            later = norms[places[index + 1 :]]
            largest = np.max(later[np.isfinite(later)], initial=0.0)
            text = f"The gradient of task '{task}' {{}} in layer '{layer}': its norm is {norm:.3g}"
            if not norm <= exploding_norm:
                text = text.format("explodes") + f", above {exploding_norm:g}."
                found.append(("exploding", task, layer, text))
            elif norm < max(vanishing_norm, vanishing_ratio * largest):
                text = text.format("vanishes") + f", in a later layer up to {largest:.3g}."
                found.append(("vanishing", task, layer, text))
    return found


def _walk(model, prefix=""):
    """Yield the layers of a model with their names, those of inner models before these."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _walk(layer, f"{prefix}{layer.name}/")
        yield prefix + layer.name, layer


def _losses(trainer, x, labels, sample_weight):
    """Return the tasks' losses in inference mode; leaves random generators in the model as they are."""
    problem = trainer.problem
    with restored(problem.model.non_trainable_variables):
        logits = problem.model(x, training=False)
    return [
        task.compute_loss(labels, logits[task.name], problem.weight_of(task, sample_weight))
        for task in trainer.tasks
    ]


def _products(column):
    """Return the inner products `[tasks, tasks]` of the tasks' gradients of one variable.

    They are 0 for tasks that do not reach it. One that is not finite leaves those of other tasks alone.
    """
    tasks = [task for task, gradient in enumerate(column) if gradient is not None]
    shape = (len(column), len(column))
    if not tasks:
        return tf.zeros(shape)
    tensors = sparse.column([column[task] for task in tasks]).tensors
    rows = tf.cast(tf.stack([tf.reshape(tensor, [-1]) for tensor in tensors]), "float32")
    places = np.stack(np.meshgrid(tasks, tasks, indexing="ij"), axis=-1)
    return tf.scatter_nd(places, tf.matmul(rows, rows, transpose_b=True), shape)


def _cosines(products, reached):
    """Return the cosines `[tasks, tasks]`, over the variables that both tasks reach.

    Args:
        products: Tensor `[variables, tasks, tasks]`.
        reached: Array `[variables, tasks]`.
    """
    both = reached[:, :, np.newaxis] & reached[:, np.newaxis, :]
    squares = tf.where(both, tf.linalg.diag_part(products)[:, :, tf.newaxis], 0.0)
    lengths = tf.sqrt(tf.reduce_sum(squares, axis=0))
    return tf.reduce_sum(products, axis=0) / lengths / tf.transpose(lengths)


def _square(x):
    return tf.reduce_sum(tf.square(tf.cast(x, "float32")))
