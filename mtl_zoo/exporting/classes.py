"""Class indices and class names beside the probabilities of a task."""

import pathlib

import keras
import tensorflow as tf
from keras import ops


def check_class_names(tasks, class_names):
    """Raise a `ValueError` unless every entry names the classes of a task that has classes.

    Args:
        tasks: Sequence of `mtl_zoo.Task`.
        class_names: Dictionary from task names to lists of names, or to `None` for indices alone.
    """
    known = {task.name: task for task in tasks}
    if not set(class_names) <= set(known):
        raise ValueError(
            f"`class_names` must be for tasks among {list(known)}. Received: {list(class_names)}"
        )
    for name, names in class_names.items():
        count = num_classes(known[name])
        if count is None:
            raise ValueError(f"`class_names` must be for tasks with classes. Received: '{name}'")
        if names is not None and not _are_lines(names, count):
            raise ValueError(
                f"`class_names` of task '{name}' must be {count} strings of one line. Received: {names}"
            )
        taken = {f"{name}_class_id", f"{name}_class_name"} & set(known)
        if taken:
            raise ValueError(f"No task may have the name of another's output. Received: {', '.join(taken)}")


def num_classes(task):
    """Return how many names a task's classes have, or `None` where it predicts values.

    A binary task has two, those of 0 and 1; a multilabel task has one per label.
    """
    if num_predicted(task) != task.output_shape[-1]:
        return None
    if task.labels_are_indices:
        return task.output_shape[-1]
    if task.max_label is None:
        return None
    return 2 if task.output_shape == (1,) else task.output_shape[-1]


def num_predicted(task):
    """Return the size of the last axis of predictions, which may be fewer numbers than outputs."""
    sizes = [size or 1 for size in task.output_shape]
    return task.activation(keras.ops.zeros((1, *sizes))).shape[-1]


def name_tables(class_names, folder):
    """Write one file per task with names, one name per line, and return lookup tables of them.

    Args:
        class_names: As for `check_class_names`.
        folder: Directory of the files `{task}_classes.txt`, which become assets of a SavedModel.

    Returns:
        Dictionary from task names to `tf.lookup.StaticHashTable`, from int64 indices to strings.
    """
    tables = {}
    for task, names in class_names.items():
        if names is not None:
            path = pathlib.Path(folder, f"{task}_classes.txt")
            path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
            tables[task] = tf.lookup.StaticHashTable(_lines(path), default_value="")
    return tables


def class_outputs(task, predictions, table=None):
    """Return the outputs `{task}_class_id` and, with a table, `{task}_class_name`.

    Args:
        task: `mtl_zoo.Task` with classes.
        predictions: Tensor of probabilities, `[batch, *task.output_shape]`.
        table: Table from indices to names. Defaults to no names.

    Returns:
        Dict of int64 and string tensors without the last axis: the likeliest class, or 1 where a binary
        task's probability is over one half. For a multilabel task `[batch, labels]`: 1 and the label's name
        where it is over one half, 0 and an empty string elsewhere.
    """
    ids = _class_ids(task, predictions)
    outputs = {f"{task.name}_class_id": ids}
    if table is not None:
        outputs[f"{task.name}_class_name"] = _names(task, ids, table)
    return outputs


def _class_ids(task, predictions):
    if task.labels_are_indices:
        return ops.cast(ops.argmax(predictions, axis=-1), "int64")
    ids = ops.cast(predictions > 0.5, "int64")
    return keras.ops.squeeze(ids, -1) if task.output_shape == (1,) else ids


def _names(task, ids, table):
    if task.labels_are_indices or task.output_shape == (1,):
        return table.lookup(ids)
    names = table.lookup(tf.range(task.output_shape[-1], dtype=tf.int64))
    return tf.where(ids > 0, names, "")


def _lines(path):
    index, line = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    return tf.lookup.TextFileInitializer(str(path), tf.int64, index, tf.string, line)


def _are_lines(names, count):
    fits = isinstance(names, list | tuple) and len(names) == count
    return fits and all(isinstance(name, str) and len(name.splitlines()) == 1 for name in names)
