"""Labels and sample weights of a batch: whether tasks can learn from them."""

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo import spaces
from mtl_zoo.task import Task
from mtl_zoo.training import alike

MARK = "Labels of task"


def chosen(labels, tasks):
    """Return the labels that tasks have, out of a dict that may hold more, and those that tell their spaces.

    Args:
        labels: Dict of arrays, tensors or `tf.TypeSpec`s by `task.label_name`.
        tasks: Sequence of `Task`.

    Returns:
        Dict likewise.

    Raises:
        ValueError: If there is no dict, or labels are absent, no numbers, or of another shape or kind.
    """
    tasks = [*tasks, *spaces.others(tasks)]
    names = list(dict.fromkeys(task.label_name for task in tasks))
    if not isinstance(labels, dict):
        raise ValueError(f"Labels must be a dict with the keys {names}. Received: {type(labels).__name__}")
    if not set(names) <= set(labels):
        raise ValueError(f"Every task must have labels. Received tasks {names}, but labels {list(labels)}.")
    for task in tasks:
        what = f"{MARK} '{task.name}'"
        shape = checked_shape(what, labels[task.label_name])
        if not any(shape.is_compatible_with((None, *expected)) for expected in _label_shapes(task)):
            received = f"{shape}{_one_hot(task, shape)}"
            raise ValueError(f"{what} must have shape {(None, *task.label_shape)}. Received: {received}")
        if shape[0] == 0:
            raise ValueError(f"{what} must have at least one example. Received: {shape}")
    if spaces.reads_any(tasks):
        names += [name for name in labels if name not in names and _are_numbers(labels[name])]
    return {name: labels[name] for name in names}


def chosen_weights(weights, labels, tasks):
    """Return the sample weights that tasks have.

    Args:
        weights: Array, tensor or `tf.TypeSpec` for all tasks; a dict of such by `task.label_name`, in which
            some tasks and labels may be absent; or `None`.
        labels: All labels, as for `chosen`.
        tasks: Sequence of `Task`.

    Returns:
        `weights`, of a dict the part that is for the tasks.

    Raises:
        ValueError: If weights are for an unknown label, no numbers, or of another shape or kind.
    """
    if weights is None:
        return None
    if not isinstance(weights, dict):
        for task in tasks:
            _check_weights(task, weights)
        return weights
    foreign = [name for name in weights if name not in labels]
    if foreign:
        raise ValueError(
            f"Sample weights must be for labels, which are {list(labels)}. Received: weights for {foreign}"
        )
    for task in tasks:
        if weights.get(task.label_name) is not None:
            _check_weights(task, weights[task.label_name])
    names = {task.label_name for task in tasks}
    return {name: value for name, value in weights.items() if name in names and value is not None}


def faults(labels, weights, tasks):
    """Return what may be wrong with the values of a batch.

    Args:
        labels: Dict of NumPy arrays or tensors, as `chosen` returns it.
        weights: As `chosen_weights` returns them.
        tasks: Sequence of `Task`.

    Returns:
        List of pairs of a message, with `%d` for a number, and that number, an integer of NumPy or a scalar
        tensor. What cannot be wrong, for the type of the values, is left out.
    """
    found = []
    beyond, broken = (alike.numbers(count, labels, tasks) for count in (Task.out_of_range, Task.not_whole))
    for task, out_of_range, not_whole in zip(tasks, beyond, broken, strict=True):
        limit = "finite" if task.max_label is None else f"at most {task.max_label}"
        values, what = labels[task.label_name], f"{MARK} '{task.name}' must be"
        missing = "or missing (below 0 or NaN). Received: %d"
        found.append((f"{what} {limit}, {missing} out of range", out_of_range))
        found.append((f"{what} whole numbers, {missing} that are not", not_whole))
        if task.per == "batch":
            whole = "all be there, since its loss is one of the whole batch. Received: %d that are missing"
            found.append((f"{what.removesuffix('be')}{whole}", _missing(task, values)))
    some = weights if isinstance(weights, dict) else {} if weights is None else {None: weights}
    for name, values in some.items():
        what = "Sample weights" if name is None else f"Sample weights of '{name}'"
        message = f"{what} must be finite numbers of at least 0. Received: %d that are not"
        found.append((message, _not_weights(values)))
    return [(message, number) for message, number in found if not isinstance(number, int)]  # 0 for sure


def labelled_fractions(dataset, tasks, batches=100):
    """Return which part of each task's labels is there, in the first batches.

    Args:
        dataset: `tf.data.Dataset` of `(inputs, labels)`.
        tasks: Sequence of `Task`.
        batches: Number of batches to look at. Defaults to 100.

    Returns:
        Dictionary from names of tasks to a number from 0 to 1: labels of half an image count half.

    Example:

    >>> labels = {"click": [1, 0, -1, -1], "price": [float("nan"), 1.0, 2.0, 3.0]}
    >>> dataset = tf.data.Dataset.from_tensors((np.ones((4, 8)), labels))
    >>> labelled_fractions(dataset, [mz.Task.binary("click"), mz.Task.regression("price")])
    {'click': 0.5, 'price': 0.75}
    """

    def fractions(*batch):
        return tf.stack([task.labelled_fraction(task.labels_of(batch[1])) for task in tasks])

    tasks = spaces.with_spaces(tasks)
    means = np.mean(list(dataset.take(batches).map(fractions).as_numpy_iterator()), axis=0)
    return {task.name: float(mean) for task, mean in zip(tasks, means, strict=True)}


def checked_shape(what, values):
    """Return the static shape of labels or weights, whose kind is right.

    Args:
        what: What they are, for an error.
        values: Array, tensor or `tf.TypeSpec`.

    Raises:
        ValueError: If they are neither an array nor a dense tensor of numbers with a known number of axes.
    """
    if not hasattr(values, "shape"):
        raise ValueError(f"{what} must be an array or a tensor. Received: {type(values).__name__}")
    kind = type(values).__name__.removesuffix("Spec")
    if kind in ("RaggedTensor", "SparseTensor"):
        raise ValueError(
            f"{what} must be a dense tensor; a `tf.RaggedTensor` of labels becomes one by `.to_tensor(-1)`, "
            f"where -1 means a missing class (`float('nan')` a missing number). Received: {kind}"
        )
    dtype = tf.as_dtype(values.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise ValueError(f"{what} must be numbers. Received: {values.dtype}")
    return known_shape(what, values)


def _are_numbers(values):
    """Return whether labels are an array or a dense tensor of numbers, as functions of labels may read."""
    try:
        return checked_shape("Labels", values).rank > 0
    except ValueError:
        return False


def known_shape(what, values):
    """Return the static shape of an array, tensor or spec, or an error if the number of axes is unknown."""
    shape = tf.TensorShape(values.shape)
    if shape.rank is None:
        raise ValueError(
            f"{what} must have a known number of axes, which `tf.numpy_function` and the like lose: call "
            "`set_shape` in the dataset's function. Received: a tensor of unknown shape"
        )
    return shape


def of_every_label(weights, y):
    """Return sample weights as Keras wants them of arrays, one for every label; 1 where there is none."""
    if weights is None:
        return None
    given = weights if isinstance(weights, dict) else dict.fromkeys(y, weights)
    return {name: given.get(name, np.ones(len(values), "float32")) for name, values in y.items()}


def check_sizes(parts):
    """Check that parts of a batch hold one number of examples, where it is known."""
    shapes = [tf.TensorShape(x.shape) for x in keras.tree.flatten(parts) if hasattr(x, "shape")]
    sizes = list(dict.fromkeys(shape[0] for shape in shapes if shape.rank and shape[0] is not None))
    if len(sizes) > 1:
        raise ValueError(f"All parts of a batch must have one number of examples. Received: {sizes}")


def _missing(task, values):
    """Return the number of labels that are missing."""
    number = tf.reduce_sum(tf.cast(task.item_weights(values) == 0, tf.int32))
    return number.numpy() if isinstance(values, np.ndarray) else number


def _label_shapes(task):
    """Return the shape of a label and the one with a trailing axis of size 1 dropped or added."""
    shape = task.label_shape
    return [shape, shape[:-1] if shape[-1:] == (1,) else (*shape, 1)]


def _one_hot(task, shape):
    """Return what to say of labels of the shape of one-hot ones, where they should be class indices."""
    if not task.labels_are_indices or not shape.is_compatible_with((None, *task.output_shape)):
        return ""
    return ", one-hot labels, of which `np.argmax(labels, axis=-1)` makes class indices"


def _check_weights(task, weights):
    """Check that weights have the leading axes of the labels, and maybe one more of size 1."""
    what, shape = f"Sample weights of task '{task.name}'", task.label_shape
    found = checked_shape(what, weights)
    leading = [(None, *shape[:number]) for number in range(len(shape) + 1)]
    if not any(found.is_compatible_with(x) or found.is_compatible_with((*x, 1)) for x in leading):
        raise ValueError(
            f"{what} must have shape (None,), or more leading axes of its labels' {(None, *shape)}. "
            f"Received: {found}"
        )


def _not_weights(weights):
    """Return the number of weights that are negative or not finite."""
    dtype = tf.as_dtype(weights.dtype)
    if dtype.is_bool or dtype.is_unsigned:
        return 0
    is_array = isinstance(weights, np.ndarray)
    invalid = weights < 0
    if dtype.is_floating:
        invalid |= ~(np.isfinite if is_array else tf.math.is_finite)(weights)
    return np.sum(invalid) if is_array else tf.reduce_sum(tf.cast(invalid, tf.int32))
