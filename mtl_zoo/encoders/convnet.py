"""Convolutional stages."""

import functools

from keras import layers

from mtl_zoo import arguments


def convnet(*filters, kernel_size=3, activation="relu"):
    """Return one stage of convolution and 2x2 max pooling per size.

    Args:
        *filters: Number of filters of each stage.
        kernel_size: Side of the kernels. Defaults to 3.
        activation: Activation after each convolution. Defaults to `"relu"`.

    Returns:
        List of stages, each from `[batch, height, width, channels]` to half the height and width, rounded up.

    Raises:
        ValueError: If a size is not a positive integer, or another argument is of the wrong kind.

    Example:

    >>> mz.encoders.encode(keras.Input((28, 28, 3)), convnet(32, 64), "shared").shape
    (None, 7, 7, 64)
    """
    filters = arguments.integers("filters", filters, 1, arguments.UNITS)
    kernel_size = arguments.integer("kernel_size", kernel_size, 1, arguments.SIDE)
    arguments.activation("activation", activation)
    return [
        functools.partial(_stage, filters=size, kernel_size=kernel_size, activation=activation)
        for size in filters
    ]


def _stage(x, name, filters, kernel_size, activation):
    x = layers.Conv2D(filters, kernel_size, padding="same", activation=activation, name=f"{name}_conv")(x)
    return layers.MaxPooling2D(padding="same", name=f"{name}_pool")(x)
