"""Checks at the border: whether a model and a list of tasks belong together."""

import collections
import re

import keras

from mtl_zoo import arguments
from mtl_zoo._activations import source_of_probabilities
from mtl_zoo.outputs import by_task, check_shape, graph_of, has_own_losses

# Names of signatures of an export, of layers that tasks share in architectures, and in the logs.
RESERVED_NAMES = ("example", "features", "image_bytes", "loss", "serving_default", "shared", "val")
RESERVED_PREFIX, RESERVED_SUFFIX = "val_", "_from_features"


def check_name(name):
    """Raise an error unless a task may have a name.

    It names layers, keys of logs, columns and signatures of an export. `Task` calls this, so that what it
    accepts is accepted everywhere.

    Args:
        name: Name of the task.

    Raises:
        ValueError: If it is not made of English letters, digits and underscores, or is taken.

    Example:

    >>> check_name("größe")
    Traceback (most recent call last):
    ValueError: A task's name must be English letters, digits and '_', and begin with a letter; labels may ...
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            "A task's name must be English letters, digits and '_', and begin with a letter; labels may have "
            f"any key: `dataclasses.replace(task, label_name=...)`. Received: name={name!r}"
        )
    if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIX) or name.endswith(RESERVED_SUFFIX):
        raise ValueError(
            f"A task's name must not be one of {', '.join(RESERVED_NAMES)}, nor begin with "
            f"'{RESERVED_PREFIX}' or end with '{RESERVED_SUFFIX}': logs, layers and exports have these. "
            f"Received: name={name!r}"
        )


def check_log_keys(keys):
    """Raise an error unless every number in the logs has a key of its own.

    Args:
        keys: Names of all that is logged for the tasks, such as `price_loss` or `price_auc`.

    Raises:
        ValueError: If two of them are the same, or one is a key of the trainer's or Keras' own.

    Example:

    >>> check_log_keys(["a_loss", "a_b_loss", "a_b_loss"])  # of task `a` with metric `b_loss`, and `a_b`
    Traceback (most recent call last):
    ValueError: Tasks and metrics must have names that make different keys in the logs. Received: a_b_loss ...
    """
    counts = collections.Counter([*keys, "skipped_steps", "learning_rate"])
    several = [key for key, count in counts.items() if count > 1]
    if several:
        raise ValueError(
            "Tasks and metrics must have names that make different keys in the logs. "
            f"Received: {', '.join(several)} twice"
        )


def check_tasks(model, tasks, graph=False):
    """Return a model that answers `{task name: logits}`, if every task describes an output of `model`.

    Outputs that no task names are fine; they are ignored.

    Args:
        model: `keras.Model` with one output per task.
        tasks: Sequence of `mtl_zoo.Task`.
        graph: Whether the model must be a functional one. Defaults to `False`.

    Returns:
        What `outputs.by_task` returns: `model` itself, or a model of the same layers.

    Raises:
        ValueError: If the model is not built, there are no tasks, two tasks share a name, a task has no
            output or one of another shape, or the output of a task with logits went through softmax or
            sigmoid and more.

    Example:
    >>> from mtl_zoo import Task
    >>> inputs = keras.Input((8,))
    >>> model = keras.Model(inputs, {"sex": keras.layers.Dense(1)(inputs), "age": inputs})
    >>> check_tasks(model, [Task.binary("sex")]) is model
    True
    >>> check_tasks(model, [Task.regression("income")])
    Traceback (most recent call last):
    ValueError: Every task must name an output of `model`. Received tasks ['income'], ...
    """
    check_model(model, graph)
    check_names(tasks)
    found = by_task(model, tasks)
    if isinstance(found, keras.Function):
        for task in tasks:
            check_shape(task, found.output[task.name].shape)
            _check_logits(task, found.output[task.name])
    return found


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


def check_model(model, graph=False):
    """Raise an error unless a model is a built `keras.Model`, and a functional one if `graph` says so."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a `keras.Model`. Received: {type(model).__name__}")
    if not model.built:
        raise ValueError(
            "`model` must be built: call it once on a batch of inputs, `model(x)`. Received: "
            f"'{model.name}', whose weights are not there yet"
        )
    if graph and graph_of(model) is None:
        raise ValueError(
            "`model` must be a functional `keras.Model`, whose layers and outputs can be told apart. "
            f"Received: {type(model).__name__}, {_reason(model)}"
        )


def check_layers_alone(model):
    """Raise an error unless a functional model is made of layers, and its class adds no losses to theirs."""
    check_model(model, graph=True)
    if has_own_losses(model):
        raise ValueError(
            "`model` must be made of layers alone: `keras.Model(model.input, model.output)` is, and does "
            f"without the penalty. Received: {type(model).__name__}, with losses of its own"
        )


def _reason(model):
    if isinstance(getattr(model, "model", None), keras.Model):
        return "which stands for its attribute `model`: give that, as in `trainer.model`"
    return "which has a `call` of its own"


def _check_logits(task, output):
    if task.activation not in (keras.activations.softmax, keras.activations.sigmoid):
        return
    source = source_of_probabilities(output)
    if source:
        raise ValueError(
            f"The output of task '{task.name}' must be logits, or what `{task.activation.__name__}` makes of "
            f"them and nothing more: move layer '{source}' to the end, or give the task "
            "`activation=keras.activations.linear` and a loss of probabilities by `dataclasses.replace`. "
            f"Received: probabilities, made by '{source}'"
        )


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


def check_shapes(task):
    """Raise an error unless the shapes of a task are tuples of sizes."""
    for name in ("output_shape", "label_shape"):
        sizes = getattr(task, name)
        if not isinstance(sizes, (tuple, list)) or (name == "output_shape" and not sizes):
            raise ValueError(f"`{name}` must be a tuple of sizes. Received: {name}={sizes!r}")
        arguments.integers(name, [size for size in sizes if size is not None], most=arguments.ENTRIES)


def check_fields(task):
    """Raise an error unless the other fields of a task are of the right kind."""
    for name in ("loss", "activation", "missing"):
        arguments.function(name, getattr(task, name))
    if not isinstance(task.metrics, (tuple, list)) or not all(map(callable, task.metrics)):
        raise ValueError(f"`metrics` must be a tuple of functions. Received: metrics={task.metrics!r}")
    if task.max_label is not None:
        arguments.integer("max_label", task.max_label, 0)
    arguments.text("label_name", task.label_name)
