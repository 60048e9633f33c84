"""The tree that a branching model has learned."""

import keras

from mtl_zoo.layers.branch import Branch


def tree(model):
    """Return the parents that the nodes of a branching model have chosen.

    Args:
        model: Functional `keras.Model` of `architectures.branching`.

    Returns:
        Dict from the name of each branching unit, first stage first, to an array: the index of the node that
        each child grows on. The children of the last unit are the tasks.

    Raises:
        ValueError: If the model has no branching unit.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.branching(keras.Input((8,)), tasks, mz.encoders.mlp(16, 8))
    >>> tree(model)
    {'branch_1': array([0, 0]), 'branch_2': array([0, 0])}
    """
    found = {layer.name: layer.choices() for layer in model.layers if isinstance(layer, Branch)}
    if not found:
        raise ValueError(f"A model must have branching units. Received: model '{model.name}', without")
    return found


def harden(model):
    """Return the tree that a branching model has learned, without the nodes on no task's path.

    Args:
        model: Functional `keras.Model` of `architectures.branching`.

    Returns:
        Functional `keras.Model` of the same inputs and outputs and, at inference, the same values. It shares
        the layers of `model`, and trains as the tree it is.

    Raises:
        ValueError: If the model has no branching unit.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.branching(keras.Input((8,)), tasks, mz.encoders.mlp(16, 8))
    >>> [layer.name for layer in harden(model).layers if "node" in layer.name]
    ['node_1_1_dense', 'node_1_2_dense']
    """
    chosen = tree(model)

    def call(layer, *args, **kwargs):
        if layer.name in chosen:
            return [args[0][index] for index in chosen[layer.name]]
        return layer(*args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    return keras.Model(copy.input, copy.output, name=model.name)
