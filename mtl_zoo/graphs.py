"""Graphs of functional models: calls of operations, and parts between tensors."""

import keras


class Part(keras.Model):
    """A functional model whose layers see the masks of its inputs, and whose outputs have those they made."""

    def compute_mask(self, inputs, previous_mask):
        return None  # or Keras would hand masks of inputs to outputs, by their order


def call_of(tensor):
    """Return the call of an operation that made a tensor, a node of Keras' graph."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


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
    graph = keras.Function(inputs, outputs)
    fresh = keras.tree.map_structure(_fresh, inputs)
    found = graph._run_through_graph(keras.tree.flatten(fresh), call_fn=_call)
    return Part(fresh, found)


def _fresh(tensor):
    if call_of(tensor).is_input:
        return tensor
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, sparse=tensor.sparse)


def _call(operation, *args, **kwargs):
    return operation(*args, **{key: x for key, x in kwargs.items() if x is not None})
