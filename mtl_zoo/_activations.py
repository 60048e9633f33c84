"""What an output of a functional graph already went through."""

import keras

PROBABILITIES = {"hardsigmoid", "sigmoid", "softmax", "softmaxv2", "sparsesigmoid", "sparsemax"}

# Layers and operations that leave probabilities what they are, by the names of their classes.
TRANSPARENT = {
    "Activation",
    "AveragePooling1D",
    "AveragePooling2D",
    "Cast",
    "Concatenate",
    "Cropping1D",
    "Cropping2D",
    "Dropout",
    "ExpandDims",
    "Flatten",
    "GetItem",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "Identity",
    "Permute",
    "RepeatVector",
    "Reshape",
    "Resize",
    "Squeeze",
    "Stack",
    "Transpose",
    "UpSampling1D",
    "UpSampling2D",
}


def source_of_probabilities(tensor):
    """Return the name of the layer or operation that turned logits into probabilities.

    Args:
        tensor: `keras.KerasTensor`, an output of a functional model. What reshapes, resizes, averages, joins
            or drops values behind an activation is looked through, and so are inner models.

    Returns:
        Name, or `None` if no softmax or sigmoid is found.

    Example:

    >>> x = keras.layers.Dense(3, activation="softmax", name="kind")(keras.Input((8,)))
    >>> source_of_probabilities(keras.layers.Reshape((3, 1))(x))
    'kind'
    """
    waiting, seen = [tensor], set()
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, node, index = tensor._keras_history
        if _makes_probabilities(operation):
            return operation.name
        waiting += _behind(operation, node, index)
    return None


def activation_of(tensor):
    """Return the softmax or sigmoid that is the last thing that happened to an output, or `None`.

    Args:
        tensor: As for `source_of_probabilities`; inner models are looked into.

    Example:

    >>> activation_of(keras.layers.Dense(3, activation="softmax")(keras.Input((8,)))).__name__
    'softmax'
    """
    operation, _, index = tensor._keras_history
    inner = getattr(operation, "outputs", None)
    if inner:
        return activation_of(inner[index])
    if isinstance(operation, keras.layers.RNN) or getattr(operation, "axis", -1) != -1:
        return None
    names = {_name(operation), _name(getattr(operation, "activation", None))}
    activations = keras.activations.softmax, keras.activations.sigmoid
    return next((function for function in activations if function.__name__ in names), None)


def _makes_probabilities(operation):
    """Return whether a layer's activation, or an operation itself, is a softmax or a sigmoid."""
    layer = getattr(operation, "layer", operation)  # of `TimeDistributed`
    if isinstance(layer, keras.layers.RNN):  # whose activation is not its last operation
        return False
    return bool(PROBABILITIES & {_name(layer), _name(getattr(layer, "activation", None))})


def _name(function):
    """Return the name of a function, or of an object's class, in one form."""
    return getattr(function, "__name__", type(function).__name__).replace("_", "").lower()


def _behind(operation, node, index):
    """Return the tensors that have what an output of `operation` has, as far as that is plain."""
    inner = getattr(operation, "outputs", None)  # of an inner model
    if inner:
        return [inner[index]]
    is_transparent = type(operation).__name__ in TRANSPARENT
    if is_transparent and _name(getattr(operation, "activation", None)) in ("linear", "nonetype"):
        return list(operation._inbound_nodes[node].input_tensors)
    return []
