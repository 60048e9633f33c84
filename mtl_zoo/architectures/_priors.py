"""What the first stages make of some of the inputs alone."""

import keras

from mtl_zoo import arguments
from mtl_zoo.features import pool
from mtl_zoo.graphs import made_of, taken


def priors_of(inputs, x, argument, names):
    """Return the last tensors, on the way from the inputs to features, that are made of some inputs alone.

    For columns of `encoders.tabular` these are their embeddings and normalized numbers.

    Args:
        inputs: Structure of inputs, a dict of them or `keras.Input`s with names.
        x: Features made of the inputs: a tensor or a list.
        argument: Name of the argument that the names come from.
        names: Names of inputs.

    Returns:
        List of tensors `[batch, size]`, averaged over positions.

    Raises:
        ValueError: If a name is not an input's, or the features are not made of it by way of floats.
    """
    named = inputs if isinstance(inputs, dict) else {one.name: one for one in keras.tree.flatten(inputs)}
    names = arguments.texts(argument, names)
    if not set(names) <= set(named):
        raise ValueError(
            f"`{argument}` must name inputs among {list(named)}. Received: {argument}={list(names)}"
        )
    found = [tensor for name in names for tensor in _last_made_of(named[name], keras.tree.flatten(x), name)]
    wrong = sorted({tensor.dtype for tensor in found if not keras.backend.is_float_dtype(tensor.dtype)})
    if wrong:
        raise ValueError(
            f"`{argument}` must name inputs of which shared stages make floats, each by itself. "
            f"Received: {argument}={list(names)}, of which they make {', '.join(wrong)}"
        )
    return [pool(tensor, f"{argument}_{index}") for index, tensor in enumerate(found, start=1)]


def _last_made_of(source, ends, name):
    """Return the tensors made of one input alone that others are made of, or that are the end."""
    order, alone = made_of(ends), {id(source)}
    for tensor in order:
        parents = taken(tensor)
        if parents and all(id(parent) in alone for parent in parents):
            alone.add(id(tensor))
    mixed = [tensor for tensor in order if id(tensor) not in alone]
    used = {id(tensor) for tensor in [*ends, *(parent for one in mixed for parent in taken(one))]}
    found = [tensor for tensor in order if id(tensor) in alone & used]
    if not found:
        raise ValueError(f"The shared stages must take every input that is named. Received: '{name}', unused")
    return found
