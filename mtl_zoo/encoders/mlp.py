"""Dense stages."""

import functools

from keras import layers

from mtl_zoo import arguments


def mlp(*units, activation="relu", dropout=0.0):
    """Return one dense stage per size.

    A stage flattens inputs of more than one axis, such as the maps of a convolutional stage before it.

    Args:
        *units: Number of units of each stage.
        activation: Activation after each dense layer. Defaults to `"relu"`.
        dropout: Fraction of units dropped after each stage in training. Defaults to 0.

    Returns:
        List of stages.

    Raises:
        ValueError: If a size is not a positive integer, or another argument is of the wrong kind.

    Example:

    >>> encoder = mlp(64, 32)
    >>> mz.encoders.encode(keras.Input((10,)), encoder, "shared").shape
    (None, 32)
    """
    units = arguments.integers("units", units, 1, arguments.UNITS)
    arguments.activation("activation", activation)
    dropout = arguments.number("dropout", dropout, least=0, below=1)
    return [functools.partial(_stage, units=size, activation=activation, dropout=dropout) for size in units]


def _stage(x, name, units, activation, dropout):
    if len(x.shape) > 2:
        x = layers.Flatten(name=f"{name}_flatten")(x)
    x = layers.Dense(units, activation=activation, name=f"{name}_dense")(x)
    return layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x
