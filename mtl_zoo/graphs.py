"""Graphs of functional models: calls of operations, and parts between tensors."""

import itertools

import keras


class Part(keras.Model):
    """A functional model whose layers see the masks of its inputs, and whose outputs have those they made."""

    def compute_mask(self, inputs, previous_mask):
        return None  # or Keras would hand masks of inputs to outputs, by their order


def call_of(tensor):
    """Return the call of an operation that made a tensor, a node of Keras' graph."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def taken(tensor):
    """Return the tensors that the call which made one takes."""
    return call_of(tensor).input_tensors


def made_of(tensors, parents=taken):
    """Return all that tensors of a graph are made of and themselves, each after what it is made of.

    Args:
        tensors: List of tensors.
        parents: Function of a tensor that returns the tensors before it. Defaults to `taken`.

    Example:

    >>> x = keras.Input((2,), name="x")
    >>> [tensor.name for tensor in made_of([x + 1.0])]
    ['x', 'keras_tensor...']
    """
    order, waiting = {}, list(reversed(tensors))
    while waiting:
        before = [x for x in parents(waiting[-1]) if id(x) not in order]
        waiting.extend(before)
        if not before:
            tensor = waiting.pop()
            order[id(tensor)] = tensor
    return list(order.values())


def extension(model, outputs):
    """Return the functional model from the inputs of another to tensors that are made of them.

    Keras counts names from the start in every process, so what it or we add to a model from a file, such as
    the operations of masks, may have names that the file brought along: they get others.

    Args:
        model: Functional `keras.Model`.
        outputs: Structure of tensors.
    """
    own = set(model.operations)
    taken = {operation.name for operation in own}
    for operation in {call_of(x).operation: None for x in made_of(keras.tree.flatten(outputs))}:
        if operation not in own and not isinstance(operation, keras.layers.Layer):
            name, numbers = operation.name, itertools.count(1)
            while operation.name in taken:
                operation.name = f"{name}_{next(numbers)}"
            taken.add(operation.name)
    return keras.Model(model.input, outputs, name=model.name)


def part(inputs, outputs):
    """Return the functional model from some tensors of a graph to others.

    Its layers are called anew: `keras.Model` on tensors within a graph takes an operation that made one of
    them for an input wherever else it is called.

    Args:
        inputs: List, maybe nested, of tensors.
        outputs: Structure of tensors, none of them an input, which are made of the inputs alone.

    Example:

    >>> again = keras.layers.Dense(2)
    >>> first = again(keras.Input((2,)))
    >>> part([first], again(first)).count_params()
    6
    """
    fresh = keras.tree.map_structure(_fresh, inputs)
    return Part(fresh, _made(outputs, keras.tree.flatten(inputs), keras.tree.flatten(fresh), _call))


def run(graph, tensors, call):
    """Return what a graph makes of other tensors than its inputs.

    Args:
        graph: Functional `keras.Model`.
        tensors: List of tensors in the places of its inputs.
        call: Function of an operation and its arguments that calls it.
    """
    return _made(graph.output, graph.inputs, tensors, call)


def _made(outputs, inputs, tensors, call):
    """Return what is made of tensors as `outputs` are of `inputs`, every call made once."""
    known = {id(x): tensor for x, tensor in zip(inputs, tensors, strict=True)}
    waiting = keras.tree.flatten(outputs)
    while waiting:
        node = call_of(waiting[-1])
        before = [x for x in node.input_tensors if id(x) not in known]
        if id(waiting[-1]) in known:
            waiting.pop()
        elif before:
            waiting.extend(before)
        else:
            arguments, keywords = node.arguments.fill_in(known)
            found = keras.tree.flatten(call(node.operation, *arguments, **keywords))
            known |= {id(x): tensor for x, tensor in zip(node.outputs, found, strict=True)}
    return keras.tree.map_structure(lambda x: known[id(x)], outputs)


def fresh_inputs(inputs):
    """Return inputs like those of a model, of the same names, in their structure."""
    return keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, sparse=x.sparse, name=x.name), inputs
    )


def _fresh(tensor):
    if call_of(tensor).is_input:
        return tensor
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, sparse=tensor.sparse)


def _call(operation, *args, **kwargs):
    return operation(*args, **{key: x for key, x in kwargs.items() if x is not None})
