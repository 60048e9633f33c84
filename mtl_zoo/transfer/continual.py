"""A task that is added to a model that others have trained."""

import keras

from mtl_zoo import arguments
from mtl_zoo.encoders.encode import encode
from mtl_zoo.graphs import call_of, extension, made_of
from mtl_zoo.heads import head as default_head
from mtl_zoo.outputs import check_shape, graph_of, named
from mtl_zoo.task import Task
from mtl_zoo.training.inlining import inlined
from mtl_zoo.training.representation import boundary
from mtl_zoo.validation import check_layers_alone


def add_task(model, task, stages=(), head=default_head, at=None):
    """Return a model with one more output, which shares all layers and weights with the model there is.

    The new task grows where the part that all outputs share ends, or else that any two share; in a model with
    one output, on what its last layer with weights takes. Are these several tensors, as the experts of a
    mixture, it gets all of them, side by side.

    Outputs get names as `Task.output` takes them: those of a dict stay, others are called by their layers.

    Args:
        model: Functional or sequential `keras.Model` with a dict or a list of outputs or a single one.
        task: `Task` to add.
        stages: Sequence of stages between there and the head, as encoders are made of. Defaults to none.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        at: Name of a layer, or several, on whose output the task grows; that of an input for a tower of its
            own. An output that has no name in a dict, as the features that a pretrained network answers, is
            left out if the task grows on it. Defaults to `None`: the place is found.

    Returns:
        Functional `keras.Model` with a dict of outputs. What trains it trains the layers of `model` as well.

    Raises:
        ValueError: If an output has the task's name, the model is not functional or has losses of its own
            class, there is no such place or layer, or what is there does not fit together or the task.

    Example:

    >>> price, sold = mz.Task.regression("price"), mz.Task.binary("sold")
    >>> old = mz.architectures.hard_sharing(keras.Input((8,)), [price], mz.encoders.mlp(16))
    >>> new = add_task(old, sold, stages=mz.encoders.mlp(4))
    >>> {name: output.shape for name, output in new.output.items()}
    {'price': (None, 1), 'sold': (None, 1)}
    >>> new.get_layer("shared_1_dense") is old.get_layer("shared_1_dense")
    True
    """
    arguments.instance("task", task, Task)
    arguments.function("head", head)
    _check_stages(stages)
    graph = _graph(model)
    outputs = {str(name): output for name, output in named(graph.output, graph).items()}
    _check_is_new(task, outputs)
    ends = _chosen(graph, at) if at is not None else _found(graph, outputs)
    logits = head(encode(_side_by_side(ends, task), stages, task.name), task)
    check_shape(task, logits.shape)
    if not isinstance(graph.output, dict):
        outputs = {name: x for name, x in outputs.items() if all(x is not end for end in ends)}
    return extension(graph, {**outputs, task.name: logits})


def _graph(model):
    """Return a model as one graph of its layers, without inner models."""
    check_layers_alone(model)
    graph = graph_of(model)
    is_plain = not any(isinstance(operation, keras.Model) for operation in graph.operations)
    return graph if is_plain else inlined(graph)


def _check_stages(stages):
    if not isinstance(stages, (list, tuple)) or not all(callable(stage) for stage in stages):
        raise ValueError(
            f"`stages` must be a sequence of functions `(x, name) -> x`. Received: stages={stages!r}"
        )


def _check_is_new(task, outputs):
    if task.name in outputs:
        raise ValueError(
            "A task that is added must have a name that no output has; give it another, and if need be the "
            f"old labels by `label_name`. Received: task '{task.name}', but the outputs are {list(outputs)}"
        )


def _found(graph, outputs):
    ends = boundary(outputs)
    if not ends:
        raise ValueError(
            "`model` must have trainable layers that its outputs share, or before the head of a single one; "
            "else say by `at` on which layer the task grows, an input for instance. Received: model "
            f"'{graph.name}' with the outputs {list(outputs)}"
        )
    return ends


def _chosen(graph, at):
    """Return the outputs of layers, each of which the graph calls once for one tensor."""
    names = arguments.texts("at", [at] if isinstance(at, str) else at)
    tensors = _tensors(graph)
    for name in names or [""]:
        if len(tensors.get(name, ())) != 1:
            raise ValueError(
                f"`at` must name layers of the model that are called once and return one tensor. Received: "
                f"at={at!r}, but the layers are {[key for key, found in tensors.items() if len(found) == 1]}"
            )
    return [tensors[name][0] for name in names]


def _tensors(graph):
    """Return the tensors of a graph in lists, by the names of the operations that made them."""
    found = {operation.name: [] for operation in graph.operations}
    for node in dict.fromkeys(map(call_of, made_of(graph.outputs))):
        found[node.operation.name].extend(node.outputs)
    return found


def _side_by_side(tensors, task):
    """Return one tensor of several that differ in the last axis at most."""
    if len(tensors) == 1:
        return tensors[0]
    if len({(*tensor.shape[:-1], tensor.dtype) for tensor in tensors}) > 1:
        shapes = {tensor._keras_history.operation.name: tensor.shape for tensor in tensors}
        raise ValueError(
            "Tensors on which a task grows must differ in the last axis at most; choose by `at`. Received: "
            f"the outputs of layers {shapes}"
        )
    return keras.layers.Concatenate(name=f"{task.name}_side_by_side")(tensors)
