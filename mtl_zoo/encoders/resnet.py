"""Residual convolutional stages."""

import functools

from keras import layers

from mtl_zoo import arguments

NORMALIZATIONS = {"batch": layers.BatchNormalization, "layer": layers.LayerNormalization}


def resnet(*filters, blocks=1, normalization="batch"):
    """Return one residual stage per size: the answer to vanishing gradients.

    A block is conv-norm-relu-conv-norm, added to its own input and rectified, so a gradient passes through
    the addition undiminished however many blocks there are. The first block of every stage but the first
    halves the resolution; a 1x1 convolution matches the shortcut where the shape changes.

    Args:
        *filters: Number of filters of each stage.
        blocks: Number of residual blocks in a stage. Defaults to 1.
        normalization: `"batch"`, or `"layer"` (over channels; the same in training and inference, and
            independent of the batch). Defaults to `"batch"`.

    Returns:
        List of stages from `[batch, height, width, channels]` to `[batch, height', width', filters]`.

    Raises:
        ValueError: If `normalization` is unknown, or a size or `blocks` is not a positive integer.

    Example:

    >>> mz.encoders.encode(keras.Input((28, 28, 3)), resnet(16, 32), "shared").shape
    (None, 14, 14, 32)

    Reference:
        [He et al., 2016](https://arxiv.org/abs/1512.03385)
    """
    filters = arguments.integers("filters", filters, 1, arguments.UNITS)
    blocks = arguments.integer("blocks", blocks, 1, arguments.COPIES)
    arguments.option("normalization", normalization, sorted(NORMALIZATIONS))
    return [
        functools.partial(
            _stage,
            filters=size,
            strides=1 if index == 0 else 2,
            blocks=blocks,
            normalization=NORMALIZATIONS[normalization],
        )
        for index, size in enumerate(filters)
    ]


def _stage(x, name, filters, strides, blocks, normalization):
    for block in range(1, blocks + 1):
        x = _block(x, f"{name}_block_{block}", filters, strides if block == 1 else 1, normalization)
    return x


def _block(x, name, filters, strides, normalization):
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = layers.Conv2D(filters, 1, strides, use_bias=False, name=f"{name}_shortcut")(x)
        shortcut = normalization(name=f"{name}_shortcut_norm")(shortcut)
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False, name=f"{name}_conv_1")(x)
    x = layers.ReLU(name=f"{name}_relu_1")(normalization(name=f"{name}_norm_1")(x))
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv_2")(x)
    x = layers.Add(name=f"{name}_add")([normalization(name=f"{name}_norm_2")(x), shortcut])
    return layers.ReLU(name=f"{name}_relu_2")(x)
