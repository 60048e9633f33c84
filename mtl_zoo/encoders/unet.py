"""Encoder and decoder with skip connections, for one output per pixel."""

import functools

from keras import layers

from mtl_zoo import arguments
from mtl_zoo.encoders.resnet import NORMALIZATIONS
from mtl_zoo.features import current


def unet(*filters, kernel_size=3, normalization="batch"):
    """Return one stage per size: the way down, and in the last stage also the way up.

    Every stage but the first halves the resolution. All but the last return a list, whose last tensor is the
    current features and whose others are kept for the way up (see `mtl_zoo.features`).

    Args:
        *filters: Number of filters of each stage; the paper's are 64, 128, 256, 512, 1024.
        kernel_size: Side of the convolutions. Defaults to 3.
        normalization: `"batch"`, `"layer"` (over channels) or `None`. Defaults to `"batch"`.

    Returns:
        List of stages, together from maps `[batch, height, width, channels]` to maps of the same height and
        width with `filters[0]` channels. A height or width that is not known when the model is built must be
        a multiple of `2 ** (len(filters) - 1)`; any other may have any size.

    Raises:
        ValueError: If there are no sizes, one is not a positive integer, or `normalization` is unknown.

    Example:

    >>> mz.encoders.encode(keras.Input((30, 30, 3)), unet(8, 16, 32), "shared").shape
    (None, 30, 30, 8)

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
    return [*downs[:-1], functools.partial(_bottom, down=downs[-1], convolve=convolve)]


def _down(x, name, filters, pool, convolve):
    """Return the features before and the new ones."""
    before = x if pool else []
    if pool:
        x = layers.MaxPooling2D(padding="same", name=f"{name}_pool")(current(x))
    return [*before, convolve(x, f"{name}_down", filters)]


def _bottom(x, name, down, convolve):
    """Take the last step down, then all steps up."""
    *skips, x = down(x, name)
    for level, skip in reversed(list(enumerate(skips, start=1))):
        x = _enlarge(x, skip, f"{name}_up_{level}")
        x = layers.Concatenate(name=f"{name}_up_{level}_concatenate")([skip, x])
        x = convolve(x, f"{name}_up_{level}", skip.shape[-1])
    return x


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
