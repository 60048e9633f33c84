"""How much the likelihood of labels depends on every single weight."""

import functools

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.items import expand_to, hidden, mask_of, to_numbers
from mtl_zoo.outputs import graph_of
from mtl_zoo.spaces import with_spaces
from mtl_zoo.training import inputs
from mtl_zoo.training.border import Border
from mtl_zoo.transfer.families import FAMILIES, family_of
from mtl_zoo.validation import check_tasks

LABELS = ("drawn", "given")


def fisher(model, tasks, dataset, labels="drawn", examples=1000, seed=None):
    """Return the diagonal of the Fisher information of a model's weights about some tasks.

    That is, weight by weight, the mean over examples of the squared gradient of the log-likelihood of an
    example's label, added up over the tasks. Every example has a gradient of its own, with the model as at
    inference. Log-likelihoods are those of the kinds of tasks, whatever their losses: of classes, of yes or
    no, of counts (Poisson), and of numbers (normal with a deviation of 1). Sample weights do not count.

    Args:
        model: Functional or sequential `keras.Model`.
        tasks: Sequence of `Task`.
        dataset: `tf.data.Dataset` of batches of inputs, `(inputs, labels)` or `(inputs, labels, sample
            weights)`.
        labels: `"drawn"` from what the model predicts, one for each example, which estimates the Fisher
            information itself; or `"given"` by the dataset, the "empirical" one, in which examples without a
            label do not count for a task, nor those outside its space (`Task.where`), which is not known for
            drawn ones. Defaults to `"drawn"`.
        examples: Number of examples to look at, at most: the first ones. Defaults to 1000.
        seed: Seed of the draws. Defaults to `None`: a random one.

    Returns:
        Dictionary from the paths of the trainable variables that the tasks reach to arrays of their shapes.

    Raises:
        ValueError: If the model is not functional, model, tasks and data do not match, there is no example, a
            task is a ranking or has an activation without a likelihood, or an argument is out of bounds.

    Example:

    >>> x = keras.Input((2,))
    >>> dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="click")
    >>> data = tf.data.Dataset.from_tensors(np.array([[1.0, 0.0], [3.0, 2.0]]))
    >>> found = fisher(keras.Model(x, dense(x)), [mz.Task.binary("click")], data)
    >>> found["click/kernel"].ravel()  # p (1 - p) x^2 with p = 1/2: the means of 1/4, 9/4 and of 0, 4/4
    array([1.25, 0.5 ], dtype=float32)

    Reference:
        [Kirkpatrick et al., 2017](https://arxiv.org/abs/1612.00796)
    """
    found = diagonal(model, tasks, dataset, labels, examples, seed)
    return {variable.path: ops.convert_to_numpy(value) for variable, value in found}


def diagonal(model, tasks, dataset, labels, examples, seed):
    """Return what `fisher` does, in a list of pairs of a variable and a tensor."""
    arguments.option("labels", labels, LABELS)
    examples = arguments.integer("examples", examples, 1, arguments.EXAMPLES)
    arguments.instance("dataset", dataset, tf.data.Dataset)
    view, tasks = check_tasks(model, tasks, graph=True), with_spaces(tasks)
    _check_families(tasks)
    seed = keras.random.SeedGenerator(arguments.seed("seed", seed))
    dataset = _given(model, tasks, dataset) if labels == "given" else _inputs(model, dataset)
    step = tf.function(functools.partial(_squares, view, tasks, seed), autograph=False)
    squares, counts = _totals(map(step, dataset.unbatch().take(examples).batch(1)))
    means = [[_mean(square, count) for square in row] for row, count in zip(squares, counts, strict=True)]
    return [
        (variable, sum(x for x in column if x is not None))
        for variable, column in zip(view.trainable_variables, zip(*means, strict=True), strict=True)
        if any(x is not None for x in column)
    ]


def _check_families(tasks):
    without = [task.name for task in tasks if family_of(task) is None]
    if without:
        raise ValueError(
            "Tasks must have a likelihood: logits of softmax, sigmoid, exponential, linear or `Task.ordinal` "
            f"but not of a ranking. Received: {without}"
        )


def _given(model, tasks, dataset):
    """Return a dataset of inputs as the model takes them and labels, checked."""
    return Border(tasks, model).admit(dataset)[0].map(lambda x, y, *rest: (x, y))


def _inputs(model, dataset):
    """Return a dataset of inputs likewise, without labels."""
    slots = inputs.slots(graph_of(model))
    return dataset.map(lambda x, *rest: (inputs.matched(slots, x), {}))


def _squares(view, tasks, seed, batch):
    """Return of an example, task by task, the squared gradients, and whether it has a label."""
    x, labels = batch
    with tf.GradientTape(persistent=True) as tape:
        outputs = view(x, training=False)
        found = [_log_likelihood(task, outputs[task.name], labels, seed) for task in tasks]
    rows = [tape.gradient(value, view.trainable_variables) for value, _ in found]
    squares = [[None if g is None else tf.square(tf.convert_to_tensor(g)) for g in row] for row in rows]
    return squares, [tf.cast(tf.reduce_any(weights > 0), weights.dtype) for _, weights in found]


def _log_likelihood(task, logits, labels, seed):
    """Return the log-likelihood of an example's labels, drawn if there are none, and which of them count."""
    family = FAMILIES[family_of(task)]
    half = logits.dtype in (tf.float16, tf.bfloat16)
    parameters = family.parameters(tf.cast(logits, tf.float32) if half else logits)
    if labels:
        targets, weights = _targets(task, hidden(task, task.labels_of(labels), mask_of(logits)), parameters)
    else:
        targets, mask = family.draw(tf.stop_gradient(parameters), seed), mask_of(logits)
        ones = tf.ones_like(parameters)
        weights = ones if mask is None else ones * expand_to(tf.cast(mask, ones.dtype), ones)
    return tf.reduce_sum(weights * family.log_likelihood(targets, parameters)), weights


def _targets(task, labels, parameters):
    """Return labels in the shape of parameters, of a class its one-hot label, and 1 where they are there."""
    labels = to_numbers(labels)
    labels = labels if task.labels_are_indices else tf.cast(labels, parameters.dtype)
    labels = tf.reshape(labels, tf.shape(parameters)[: len(task.label_shape) + 1])
    missing = task.missing(labels)
    labels = tf.where(missing, tf.zeros_like(labels), labels)
    weights = tf.cast(~missing, parameters.dtype)
    if not task.labels_are_indices:
        return labels, weights
    one_hot = tf.one_hot(tf.cast(labels, tf.int64), parameters.shape[-1], dtype=parameters.dtype)
    return one_hot, weights[..., None]


def _totals(steps):
    """Return the sums of what `_squares` returns for every example."""
    first = next(steps, None)
    if first is None:
        raise ValueError("`dataset` must have at least one example. Received: an empty dataset")
    return functools.reduce(lambda *pair: tf.nest.map_structure(_plus, *pair), steps, first)


def _plus(total, part):
    return None if total is None else total + part


def _mean(square, count):
    return None if square is None else tf.math.divide_no_nan(square, tf.cast(count, square.dtype))
