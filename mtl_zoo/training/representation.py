"""Where the shared part of a functional model ends."""

import keras

from mtl_zoo.graphs import Part, call_of, fresh_inputs, part
from mtl_zoo.training.inlining import inlined


def split(model, tasks):
    """Cut a functional model where the part that several tasks share ends.

    The boundary is the tensors that shared calls of layers return and others take, as far as trainable
    variables lie before them. A call is shared if a tensor it returns is one that several tasks need; if that
    leaves no boundary, if several tasks need any of what it returns. All that a call returns is on the same
    side. The layers of inner models count, not these.

    Args:
        model: Functional `keras.Model` with a dict of outputs, keyed by task name.
        tasks: Sequence of `Task`.

    Returns:
        Tuple `(trunk, heads)` of functional models that share the layers of `model`: `trunk` from its inputs
        to the list of boundary tensors, `heads` from `[boundary tensors, inputs]` to its outputs.

    Raises:
        ValueError: If no trainable variable lies before the boundary, or nothing lies behind it.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> trunk, heads = split(model, tasks)
    >>> [tensor.shape for tensor in trunk.output], [variable.path for variable in heads.variables][:1]
    ([(None, 16)], ['click_logits/kernel'])

    Note:
        What a layer without trainable variables made by chance or from statistics of its own, noise or a
        batch normalization, is passed on too where a task takes it, but has no gradient.

    Note:
        Tensors of which each serves one task, a sequence and a state for instance, have gradients without a
        common element: `MGDA` weighs them, and `PCGrad` finds no conflict.

    Reference:
        [Sener & Koltun, 2018](https://arxiv.org/abs/1810.04650)
    """
    graph, outputs = _inlined(model, tasks)
    found, boundary = _found(outputs)
    _check(model, boundary, outputs)
    return _parts(graph.input, outputs, found, boundary)


def split_if_possible(model, tasks):
    """Return what `split` does, wherever several tasks share a tensor that trainable layers lie before.

    What lies behind the boundary may be nothing at all.

    Args:
        model: As for `split`.
        tasks: Likewise.

    Returns:
        As `split` does; `()` where no such tensor is, or an inner model stays, whose masks a cut would lose.
    """
    graph, outputs = _inlined(model, tasks)
    found, boundary = _found(outputs)
    is_open = not any(isinstance(operation, keras.Model) for operation in graph.operations)
    return _parts(graph.input, outputs, found, boundary) if boundary and is_open else ()


def boundary(outputs):
    """Return the tensors on which another task can grow: where the part that the outputs share ends.

    Of several outputs that is the part that all of them need, or else that any two need, as far as trainable
    variables lie before its end; of a single one all before the last operation with trainable variables.

    Args:
        outputs: Dict of the output tensors of a functional model without inner ones, by name.

    Returns:
        List of tensors; empty where there is no such part.
    """
    if len(outputs) == 1:
        return _trained(_taken_by_head(next(iter(outputs.values()))))
    tensors, users, tasks = _graph(outputs)
    for least in (len(outputs), 2):
        for level in (_most, _all):
            shared = {node for node, sets in tasks.items() if len(level(sets)) >= least}
            found = _trained(_boundary(tensors, users, shared))
            if found:
                return found
    return []


def _taken_by_head(output):
    """Return what the last operation with trainable variables takes."""
    node = call_of(output)
    while not _can_be_trained(node.operation) and len(node.input_tensors) == 1:
        node = call_of(node.input_tensors[0])
    return node.input_tensors


def _trained(tensors):
    return [tensor for tensor in tensors if _has_past(tensor, _can_be_trained)]


def _inlined(model, tasks):
    """Return a copy of a model, since Keras cannot save a model after its graph was cut, and its outputs."""
    graph = inlined(model)
    return graph, {task.name: graph.output[task.name] for task in tasks}


def _parts(inputs, outputs, found, boundary):
    """Return trunk and heads of a graph, with the boundary between them."""
    fixed = [x for x in found if not _has_past(x, _can_be_trained) and _has_past(x, _has_state)]
    cut = [*boundary, *fixed]
    at_cut = set(map(id, cut))
    outputs = {
        name: keras.layers.Identity()(output) if id(output) in at_cut else output
        for name, output in outputs.items()
    }  # Keras cannot make a model one of whose inputs is an output
    heads = part([cut, inputs], outputs)
    return keras.Model(inputs, cut), _fixing(heads, len(boundary)) if fixed else heads


def _check(model, boundary, outputs):
    needs = "`space='representation'` needs trainable layers before tensors that several tasks share"
    if not boundary:
        raise ValueError(f"{needs}. Received: model '{model.name}', which has none")
    ends = {id(output) for output in outputs.values()}
    if len(boundary) == len(outputs) and all(id(tensor) in ends for tensor in boundary):
        name = boundary[0]._keras_history.operation.name
        raise ValueError(
            f"{needs}, and these before the outputs. Received: model '{model.name}', in which '{name}' "
            "computes outputs of several tasks at once; use `space='shared'`"
        )


def _found(outputs):
    """Return the tensors where the shared part ends, and those of them that can be trained."""
    tensors, users, tasks = _graph(outputs)
    for level in (_most, _all):
        found = _boundary(tensors, users, {node for node, sets in tasks.items() if len(level(sets)) > 1})
        trained = _trained(found)
        if trained:
            break
    return found, trained


def _graph(outputs):
    """Return what the outputs are made of.

    Returns:
        Tuple of the tensors, the calls that take them (and the task's name for an output), both by the
        tensors' ids, and by call a list: for each tensor it returns, which tasks need it.
    """
    tensors, users, needed, tasks = {}, {}, {}, {}
    for name, output in outputs.items():
        waiting = [(output, name)]
        while waiting:
            tensor, user = waiting.pop()
            tensors[id(tensor)], node = tensor, call_of(tensor)
            users.setdefault(id(tensor), set()).add(user)
            if id(tensor) not in needed:
                needed[id(tensor)] = set()
                tasks.setdefault(node, []).append(needed[id(tensor)])
            if name not in needed[id(tensor)]:
                needed[id(tensor)].add(name)
                waiting.extend((parent, node) for parent in node.input_tensors)
    return tensors, users, tasks


def _boundary(tensors, users, shared):
    """Return the tensors that shared calls return and others take."""
    return [
        tensor for key, tensor in tensors.items() if call_of(tensor) in shared and not users[key] <= shared
    ]


def _most(sets):
    return max(sets, key=len)


def _all(sets):
    return set().union(*sets)


def _has_past(tensor, suits):
    """Return whether an operation that suits lies before `tensor`."""
    waiting, seen = [call_of(tensor)], set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            if suits(node.operation):
                return True
            waiting.extend(node.parent_nodes)
    return False


def _can_be_trained(operation):
    """Return whether an operation has trainable variables, or would have them if it were not frozen."""
    if getattr(operation, "trainable_variables", None):
        return True
    return not getattr(operation, "trainable", True) and bool(operation.weights)


def _has_state(operation):
    """Return whether an operation has variables, seeds of random numbers among them."""
    return bool(getattr(operation, "variables", None))


def _fixing(heads, number):
    """Return heads of which tensors after the first ones have no gradient."""
    tensors, inputs = fresh_inputs(heads.input)
    start = [*tensors[:number], *map(keras.ops.stop_gradient, tensors[number:])]
    return Part([tensors, inputs], heads([start, inputs]))
