"""Low-rank adapters per task on any functional model."""

import functools

import keras
from absl import logging

from mtl_zoo import arguments, graphs
from mtl_zoo.graphs import fresh_inputs
from mtl_zoo.heads import head as default_head
from mtl_zoo.transfer._choice import calls_of, chosen, places
from mtl_zoo.transfer._copies import Copies, graph_to_adapt
from mtl_zoo.transfer.low_rank import LowRank
from mtl_zoo.validation import check_names


def lora(model, tasks, rank=4, where=None, shared=None, scale=1.0, features=None, head=default_head):
    """Return a model that learns tasks by low-rank additions to the weights of another one, which stay fixed.

    In a layer with adapters, the features `x` of task t become `x W + scale * x A_t B_t`. From the first such
    layer on the tasks have streams of their own, with the same `W`; what is before is computed once. Where
    the adapter is `shared`, the tasks have the same matrices, before the streams part or after. At first all
    layers do what they did.

    Everything else of `model` stays fixed too, statistics of batch normalization among it. The model that
    comes back has copies of its layers, and is trained, saved and exported as any other.

    Args:
        model: Functional or sequential `keras.Model`: a backbone, such as those of `keras.applications` and
            KerasHub, or a model that was trained here. It stays as it is.
        tasks: Sequence of T `Task`.
        rank: Number of columns of `A`. Defaults to 4.
        where: Which layers get adapters: a regular expression that is found in their names, a list of names,
            or a function from a name to a boolean. A layer within another one is called `outer/inner`, as
            `attention/query`. Defaults to `None`: all that can have them, which are dense and embedding
            layers, `EinsumDense` (so the projections of attention) and convolutions.
        shared: Which of these have one adapter for all tasks, likewise. Defaults to `None`: none of them.
        scale: Factor of the products. Defaults to 1.
        features: Name of the output or of the layer whose output the heads take. Defaults to `None`: the only
            output; or, if `model` has an output for each of the tasks, its own heads, which are trained on.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.

    Returns:
        Functional `keras.Model` from the inputs of `model` to `{task name: logits}`.

    Raises:
        ValueError: If the model is not functional, has adapters, or it is not plain what the features are; no
            layer is chosen, or one that cannot have adapters; or a number is out of bounds.

    Example:

    >>> tasks = [mz.Task.binary("cat"), mz.Task.regression("age")]
    >>> backbone = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu", name="dense")])
    >>> model = lora(backbone, tasks, rank=2)
    >>> trained_parameters(model)  # 2 tasks of 2 * (8 + 16), two heads of 17, and 8 * 16 + 16
    {'adapters': 96, 'heads': 34, 'frozen': 144}

    Reference:
        [Agiza et al., 2024](https://arxiv.org/abs/2403.20320); [Hu et al., 2022](https://arxiv.org/abs/2106.09685)

    Note:
        In the paper a task's stream starts in the last block of each stage and ends there, and `W` is applied
        to the shared features alone: y_t = W x + s_t B_t A_t x_t. Here a stream goes on to the head, and `W`
        is applied to the stream's own features: from where they part on, that costs a pass per task, and
        every stream can be merged. `shared` on all but the last layers comes close to the paper's cost.

    Note:
        Depthwise, separable, grouped, transposed and causal convolutions and recurrent layers stay fixed
        without an adapter, as weights in no layer of these kinds do; a warning names them.
    """
    graph = graph_to_adapt(model)
    rank = arguments.integer("rank", rank, 1, arguments.UNITS)
    scale = arguments.number("scale", scale)
    names = check_names(tasks)
    arguments.function("head", head)
    ends, kept = _ends(graph, names, features)
    copies = _copies(graph, kept, len(names), rank, where, shared, scale)
    inputs, streams = _streams(graph, ends, copies)
    if not kept:
        streams = {task.name: head(streams[task.name], task) for task in tasks}
    copies.fill()
    return keras.Model(inputs, streams, name=f"{model.name}_lora")


def trained_parameters(model):
    """Return how many numbers a model of `lora` or `palora` trains, and how many stay fixed.

    Args:
        model: Built `keras.Model`.

    Returns:
        Dictionary: `adapters`, the matrices of the adapters; `heads`, whatever else is trained; and `frozen`.
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, LowRank)]
    adapters = _count({id(v): v for layer in layers for pair in layer.pairs for v in pair}.values())
    trained = _count(model.trainable_variables)
    return {
        "adapters": adapters,
        "heads": trained - adapters,
        "frozen": _count(model.weights) - trained,
    }


def _count(variables):
    return sum(functools.reduce(int.__mul__, v.shape, 1) for v in variables)


def _ends(graph, names, features):
    """Return the tensors that end the streams, by the tasks' names, and operations that are trained on."""
    outputs = graph.output if isinstance(graph.output, dict) else {}
    if features is None and set(names) <= set(outputs):
        return {name: outputs[name] for name in names}, [_head_of(outputs[name]) for name in names]
    if features is None and len(graph.outputs) == 1 and not outputs:
        return dict.fromkeys(names, graph.outputs[0]), []
    ends = {x.name: calls[0].outputs[0] for x, calls in calls_of(graph).items() if len(calls) == 1}
    if isinstance(features, str) and features in outputs:
        return dict.fromkeys(names, outputs[features]), []
    if isinstance(features, str) and features in ends:
        return dict.fromkeys(names, ends[features]), []
    raise ValueError(
        "`features` must name an output of `model` or a layer that is called once, unless it has one output "
        f"or one per task. Received: features={features!r}; outputs are "
        f"{list(outputs) or len(graph.outputs)}, and the last layers {list(ends)[-5:]}"
    )


def _head_of(tensor):
    """Return the last operation with weights before an output; the output's own one if there is a fork."""
    node = graphs.call_of(tensor)
    while not getattr(node.operation, "weights", []) and len(node.parent_nodes) == 1:
        node = node.parent_nodes[0]
    return node.operation


def _copies(graph, kept, num_tasks, rank, where, shared, scale):
    """Return the `Copies` with adapters where they are wanted."""
    found = {layer: paths for layer, paths in places(graph).items() if layer not in kept}
    paths = [path for some in found.values() for path in some]
    wanted = chosen("where", where, paths)
    common = [] if shared is None else chosen("shared", shared, wanted)
    if where is None:
        _say_what_stays(graph, found, kept)
    copies = {path: 1 if path in common else num_tasks for path in wanted}
    return Copies(copies, found, rank, scale, kept)


def _say_what_stays(graph, found, kept):
    rest = [x for x in graph.operations if x not in found and x not in kept]
    large = [x.name for x in rest if any(len(v.shape) > 1 for v in getattr(x, "weights", []))]
    if large:
        logging.warning("Layers that cannot have adapters stay as they are: %s", ", ".join(large))


def _streams(graph, ends, copies):
    """Return new inputs, and what the tasks' streams end with by their names.

    A call with the same tensors as in another task's stream is not made again, unless its adapter differs.
    """
    inputs, known, streams = fresh_inputs(graph.input), {}, {}
    for index, (name, end) in enumerate(ends.items()):
        calls = {}

        def call(operation, *args, index=index, calls=calls, **kwargs):
            kwargs = {key: x for key, x in kwargs.items() if x is not None}
            calls[operation] = calls.get(operation, 0) + 1
            if max(copies.numbers(operation).values(), default=1) > 1:
                kwargs["task"] = index
            given = keras.tree.flatten((args, kwargs))
            key = (operation, calls[operation], *map(id, given))
            if key not in known:
                known[key] = copies.of(operation)(*args, **kwargs), given
            return known[key][0]

        streams[name] = graphs.run(keras.Model(graph.inputs, end), keras.tree.flatten(inputs), call)
    return inputs, streams
