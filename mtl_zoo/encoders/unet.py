"""Encoder and decoder with skip connections, for one output per pixel."""

import functools

from keras import layers

from mtl_zoo import arguments
from mtl_zoo.encoders.resnet import NORMALIZATIONS
from mtl_zoo.features import current


def unet(*filters, kernel_size=3, normalization="batch"):
    """Return one stage per size on the way down, and one for each of them but the last on the way up.

    Every stage down but the first halves the resolution, every stage up doubles it. All but the last return a
    list, whose last tensor is the current features and whose others are kept for the way up (see
    `mtl_zoo.features`); each stage up takes one of them.

    Args:
        *filters: Number of filters of each size; the paper's are 64, 128, 256, 512, 1024.
        kernel_size: Side of the convolutions. Defaults to 3.
        normalization: `"batch"`, `"layer"` (over channels) or `None`. Defaults to `"batch"`.

    Returns:
        List of `2 * len(filters) - 1` stages, together from maps `[batch, height, width, channels]` to maps
        of the same height and width with `filters[0]` channels. A height or width that is not known when the
        model is built must be a multiple of `2 ** (len(filters) - 1)`; any other may have any size.

    Raises:
        ValueError: If there are no sizes, one is not a positive integer, or `normalization` is unknown.

    Example:

    >>> encoder = unet(8, 16, 32)
    >>> len(encoder), mz.encoders.encode(keras.Input((30, 30, 3)), encoder, "shared").shape
    (5, (None, 30, 30, 8))

    Reference:
        [Ronneberger et al., 2015](https://arxiv.org/abs/1505.04597)

    Note:
        Convolutions are padded, so that the output has the size of the input and skip connections need no
        crop; the paper's are not normalized, as with `normalization=None`; there is no dropout.
    """
    filters = arguments.integers("filters", filters, 1, arguments.UNITS)
    kernel_size = arguments.integer("kernel_size", kernel_size, 1, arguments.SIDE)
    arguments.option("normalization", normalization, sorted(NORMALIZATIONS), optional=True)
    if not filters:
        raise ValueError("`filters` must have at least one size. Received: none")
    convolve = functools.partial(_convolve, kernel_size=kernel_size, normalization=normalization)
    downs = [
        functools.partial(_down, filters=size, pool=index > 0, convolve=convolve)
        for index, size in enumerate(filters)
    ]
    return downs + [functools.partial(_up, convolve=convolve)] * (len(filters) - 1)


def _down(x, name, filters, pool, convolve):
    """Return the features before, if any, and the new ones."""
    if not pool:
        return convolve(x, f"{name}_down", filters)
    before = x if isinstance(x, (list, tuple)) else [x]
    pooled = layers.MaxPooling2D(padding="same", name=f"{name}_pool")(current(x))
    return [*before, convolve(pooled, f"{name}_down", filters)]


def _up(x, name, convolve):
    """Take the last of the features that are kept, and double the resolution to theirs."""
    *kept, skip, x = x
    x = _enlarge(x, skip, f"{name}_up")
    x = layers.Concatenate(name=f"{name}_up_concatenate")([skip, x])
    x = convolve(x, f"{name}_up", skip.shape[-1])
    return [*kept, x] if kept else x


def _enlarge(x, skip, name):
    """Double the sides, and cut them to those of the skip connection where those are odd."""
    x = layers.Conv2DTranspose(skip.shape[-1], 2, strides=2, name=f"{name}_enlarge")(x)
    odd = [side % 2 if side else 0 for side in skip.shape[1:3]]
    return layers.Cropping2D([(0, side) for side in odd], name=f"{name}_crop")(x) if any(odd) else x


def _convolve(x, name, filters, kernel_size, normalization):
    for index in (1, 2):
        x = layers.Conv2D(
            filters, kernel_size, padding="same", use_bias=not normalization, name=f"{name}_conv_{index}"
        )(x)
        if normalization:
            x = NORMALIZATIONS[normalization](name=f"{name}_norm_{index}")(x)
        x = layers.ReLU(name=f"{name}_relu_{index}")(x)
    return x
