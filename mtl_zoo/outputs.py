"""The outputs of any Keras model, as logits by the names of tasks."""

import inspect

import keras
from absl import logging

from mtl_zoo._activations import activation_of

# Methods of `keras.Model` that people override to train in a way of their own.
STEPS = ("train_step", "test_step", "compute_loss", "compute_metrics")


@keras.saving.register_keras_serializable("mtl_zoo")
class Logits(keras.layers.Layer):
    """Gives back what was there before the softmax or sigmoid that made its input.

    Keras keeps the logits with every result of these two functions, for its own crossentropies.

    Raises:
        ValueError: If the input was not made by one of them.

    Example:

    >>> with_activation = keras.layers.Dense(3, "softmax", kernel_initializer="ones")(np.ones((1, 2)))
    >>> Logits()(with_activation).numpy()
    array([[2., 2., 2.]], dtype=float32)
    """

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.supports_masking = True

    def call(self, inputs):
        logits = getattr(inputs, "_keras_logits", None)
        if logits is None:
            raise ValueError(
                "The last operation of a model's output must be the softmax or sigmoid itself, so that its "
                "logits are known. Received: probabilities that went through something else"
            )
        return logits

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


@keras.saving.register_keras_serializable("mtl_zoo")
class ByTask(keras.Model):
    """Answers `{task name: output}` of a model without a graph.

    Args:
        model: Built `keras.Model`, subclassed for instance.
        tasks: Sequence of `Task`.
    """

    def __init__(self, model, tasks, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.tasks = tuple(tasks)
        self.takes_training = "training" in inspect.signature(model.call).parameters
        self.built = True

    def call(self, inputs, training=None):
        outputs = self.model(inputs, training=training) if self.takes_training else self.model(inputs)
        found = named(outputs)
        answers = {task.name: found[place(task, found, isinstance(outputs, dict))] for task in self.tasks}
        for task in self.tasks:
            check_shape(task, answers[task.name].shape)
        return answers


@keras.saving.register_keras_serializable("mtl_zoo")
class View(keras.Model):
    """Other outputs of a functional model that has losses of its own, which stay.

    Attributes:
        source: That model.
    """

    @property
    def losses(self):
        return self.source.losses


def graph_of(model):
    """Return a model as a functional one, or `None` if it is more than a graph of layers.

    Args:
        model: Any built `keras.Model`.
    """
    if not inspect.unwrap(type(model).call).__module__.startswith("keras."):
        return None
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return model if isinstance(model, keras.Function) else None


def by_task(model, tasks):
    """Return a model with the same layers that answers `{task name: logits}`.

    Args:
        model: Any built `keras.Model`, with one output, a list or a dict of outputs.
        tasks: Sequence of `Task`.

    Returns:
        `model` itself where it does so already. Where an output is the result of the activation of its task,
        the answer is what it was before. Outputs of no task follow, by numbers.

    Raises:
        ValueError: If a task has no output, or an output is a structure.
    """
    graph = graph_of(model)
    if graph is None:
        return ByTask(model, tasks)
    found = named(graph.output, graph)
    by_key = isinstance(graph.output, dict)
    chosen = {task.name: found[place(task, found, by_key)] for task in tasks}
    logits = {task.name: _logits(task, chosen[task.name]) for task in tasks}
    if by_key and all(x is graph.output.get(name) for name, x in logits.items()):
        return model
    used = {id(tensor) for tensor in chosen.values()}
    rest = [tensor for tensor in found.values() if id(tensor) not in used]
    others = dict(zip(map(str, range(len(rest))), rest, strict=True))
    return _view(graph, {**logits, **others})


def has_own_losses(model):
    """Return whether a model's class adds to the losses of its layers, as a penalty between towers does."""
    return type(model).losses is not keras.Model.losses


def predictions(model, tasks, outputs):
    """Return what a model answers, in its own structure, with the activations that it did not apply itself.

    Args:
        model: As for `by_task`.
        tasks: Sequence of `Task`.
        outputs: What the model answered.
    """
    graph, by_key = graph_of(model), isinstance(outputs, dict)
    ends = named(outputs if graph is None else graph.output, graph)
    found = dict(zip(ends, named(outputs).values(), strict=True)) if not by_key else dict(outputs)
    for task in tasks:
        name = place(task, ends, by_key)
        if graph is None or activation_of(ends[name]) is not task.activation:
            logits = keras.ops.cast(found[name], "float32")
            found[name] = keras.ops.cast(task.activation(logits), "float32")
    return found if by_key else keras.tree.pack_sequence_as(outputs, list(found.values()))


def label_names(model, tasks):
    """Return the names of the labels of a model's outputs in order, `None` for one of no task.

    Args:
        model: As for `by_task`.
        tasks: Sequence of `Task`.

    Returns:
        List; empty for a model with a dict of outputs, whose labels have names, and for one without a graph.
    """
    graph = graph_of(model)
    if graph is None or isinstance(graph.output, dict):
        return []
    found = named(graph.output, graph)
    names = {place(task, found, by_key=False): task.label_name for task in tasks}
    return [names.get(name) for name in found]


def warn_of_overrides(model):
    """Warn of methods of a model that are its own, and that no trainer of it calls."""
    own = [name for name in STEPS if getattr(type(model), name) is not getattr(keras.Model, name)]
    if own:
        logging.warning(
            "%s of %s %s not called in training: the trainer makes the step, from the losses of the tasks.",
            " and ".join(f"`{name}`" for name in own),
            type(model).__name__,
            "is" if len(own) == 1 else "are",
        )


def named(outputs, model=None):
    """Return outputs in a dict: by their keys, by the names of their layers, or by their places in a list.

    Args:
        outputs: What a model answers.
        model: The model whose graph they belong to. Defaults to `None`: there are no names of layers.

    Raises:
        ValueError: If an output is a structure itself.
    """
    if isinstance(outputs, dict):
        found = dict(outputs)
    else:
        several = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        names = _layer_names(several) if model is not None else range(len(several))
        found = dict(zip(names, several, strict=True))
    nested = [name for name, output in found.items() if not hasattr(output, "shape")]
    if nested:
        raise ValueError(f"Every output of `model` must be one tensor. Received structures for {nested}.")
    return found


def place(task, found, by_key):
    """Return the name of a task's output.

    Args:
        task: `Task`.
        found: Dict of all outputs, as `named` returns it.
        by_key: Whether the model answers a dict. Elsewhere one output alone is that of any one task.

    Raises:
        ValueError: If there is no such output.
    """
    key = task.name if task.output is None else task.output
    if key in found:
        return key
    if isinstance(key, int) and 0 <= key < len(found):
        return list(found)[key]
    if len(found) == 1 and task.output is None and not by_key:
        return next(iter(found))
    raise ValueError(
        f"Every task must name an output of `model`. Received tasks {[key]}, but the outputs are "
        f"{list(found)}; a task's `output` may be another name than its own"
    )


def check_graph(found, what):
    """Raise an error unless a model, as `by_task` returns it, is functional.

    Args:
        found: `keras.Model`.
        what: What needs it, for the error.
    """
    if isinstance(found, ByTask):
        raise ValueError(
            f"{what} needs a functional model, whose layers and outputs can be told apart. Received: "
            f"{type(found.model).__name__}, which has a `call` of its own"
        )


def check_shape(task, shape):
    """Raise an error unless an output has the shape that a task needs."""
    expected = (None, *task.output_shape)
    if len(shape) != len(expected) or not all(map(_is_same_size, shape, expected)):
        raise ValueError(
            f"The output of task '{task.name}' must have shape {expected}. Received: shape={tuple(shape)}"
        )


def _view(graph, outputs):
    if not has_own_losses(graph):
        return keras.Model(graph.input, outputs, name=graph.name)
    view = View(graph.input, outputs, name=graph.name)
    view.source = graph
    return view


def _is_same_size(size, expected):
    return size is None or expected is None or size == expected


def _logits(task, output):
    """Return the logits of a task, where its activation is the last thing that happened to an output."""
    wanted = task.activation in (keras.activations.softmax, keras.activations.sigmoid)
    return Logits()(output) if wanted and activation_of(output) is task.activation else output


def _layer_names(outputs):
    """Return the names of the layers that make outputs; of several of one layer, the places instead."""
    names = [output._keras_history.operation.name for output in outputs]
    return [name if names.count(name) == 1 else index for index, name in enumerate(names)]
