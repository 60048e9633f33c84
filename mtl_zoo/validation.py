"""Checks at the border: whether a model and a list of tasks belong together."""

import keras

from mtl_zoo import arguments


def check_tasks(model, tasks):
    """Raise an error unless every task describes an output of `model`.

    Outputs that no task names are fine; they are ignored.

    Args:
        model: Functional `keras.Model` with a dict of outputs, keyed by task name.
        tasks: Sequence of `mtl_zoo.Task`.

    Raises:
        ValueError: If the model has no dict of outputs, there are no tasks, two tasks share a name, or a
            task has no output or one of another shape.

    Example:
    >>> from mtl_zoo import Task
    >>> inputs = keras.Input((8,))
    >>> model = keras.Model(inputs, {"sex": keras.layers.Dense(1)(inputs)})
    >>> check_tasks(model, [Task.binary("sex")])
    >>> check_tasks(model, [Task.regression("age")])
    Traceback (most recent call last):
    ValueError: Every task must name an output of `model`. Received tasks ['age'], ...
    """
    _check_outputs(model)
    names = check_names(tasks)
    if not set(names) <= set(model.output):
        raise ValueError(
            f"Every task must name an output of `model`. Received tasks {names}, "
            f"but the outputs are {list(model.output)}."
        )
    for task in tasks:
        _check_shape(task, model.output[task.name].shape)


def check_names(tasks):
    """Return the tasks' names.

    Args:
        tasks: Sequence of `mtl_zoo.Task`.

    Returns:
        List of strings.

    Raises:
        ValueError: If there are no tasks or two share a name.
    """
    if not isinstance(tasks, (list, tuple)) or not all(hasattr(task, "label_name") for task in tasks):
        raise ValueError(f"`tasks` must be a sequence of `Task`. Received: tasks={tasks!r}")
    names = [task.name for task in tasks]
    if not names:
        raise ValueError(f"There must be at least one task. Received: tasks={tasks}")
    if len(set(names)) < len(names):
        raise ValueError(f"Every task must have a name of its own. Received tasks {names}.")
    return names


def _check_outputs(model):
    is_functional = isinstance(model, keras.Model) and isinstance(model, keras.Function)
    if not is_functional:
        raise ValueError(f"`model` must be a functional `keras.Model`. Received: {type(model).__name__}")
    if not isinstance(model.output, dict):
        raise ValueError(
            "`model` must have a dict of outputs, keyed by task name. "
            f"Received outputs of type {type(model.output).__name__}: {model.output_names}"
        )
    nested = [name for name, output in model.output.items() if not isinstance(output, keras.KerasTensor)]
    if nested:
        raise ValueError(f"Every output of `model` must be one tensor. Received structures for {nested}.")


def _check_shape(task, shape):
    expected = (None, *task.output_shape)
    if len(shape) != len(expected) or not all(map(_is_same_size, shape, expected)):
        raise ValueError(
            f"The output of task '{task.name}' must have shape {expected}. Received: shape={tuple(shape)}"
        )


def _is_same_size(size, expected):
    return size is None or expected is None or size == expected


def check_blueprint(inputs, tasks, encoder, head):
    """Raise an error unless an architecture can be built from these.

    Args:
        inputs: `keras.Input`, or a structure of inputs.
        tasks: Sequence of `mtl_zoo.Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`.

    Raises:
        ValueError: If there is no input, no task or no stage, a stage or the head is not a function, or two
            tasks share a name.
    """
    flat = keras.tree.flatten(inputs)
    if not flat or not all(isinstance(x, keras.KerasTensor) for x in flat):
        raise ValueError(f"`inputs` must be `keras.Input`s. Received: inputs={inputs!r}")
    check_names(tasks)
    arguments.function("head", head)
    is_sequence = isinstance(encoder, (list, tuple))
    if not is_sequence or not encoder or not all(callable(stage) for stage in encoder):
        raise ValueError(
            f"`encoder` must be a sequence of at least one function `(x, name) -> x`. Received: {encoder}"
        )
