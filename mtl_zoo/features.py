"""Features between stages, of any modality: vectors, sequences and maps.

A stage returns one tensor, or a list of them whose last one is the current features and whose others are kept
for later stages (the skip connections of `encoders.unet`). The last stage returns one tensor.
"""

import keras
from keras import layers, ops

from mtl_zoo.layers.sequence_average import SequenceAverage

POOLING = {3: SequenceAverage, 4: layers.GlobalAveragePooling2D}


def current(x):
    """Return the current features of what a stage returns."""
    return x[-1] if isinstance(x, (list, tuple)) else x


def replace_current(x, new):
    """Return what a stage returns with other current features."""
    return [*x[:-1], new] if isinstance(x, (list, tuple)) else new


def check_floats(x):
    """Raise a `ValueError` unless all tensors of a structure hold floats, which can be mixed."""
    types = sorted({tensor.dtype for tensor in keras.tree.flatten(x)})
    if not all(map(keras.backend.is_float_dtype, types)):
        raise ValueError(
            "What an architecture mixes must be tensors of floats: cut the encoder where no masks or tokens "
            f"are passed on, or share the stages before. Received: {', '.join(types)}"
        )


def mix_towers(layer, towers):
    """Apply a layer to the current features of several towers together.

    Args:
        layer: Function from a list of T tensors to a list of T tensors.
        towers: List of what a stage returned for each tower.

    Returns:
        List likewise, with the layer's results as current features.
    """
    mixed = layer([current(x) for x in towers])
    return [replace_current(x, new) for x, new in zip(towers, mixed, strict=True)]


def pool(x, name):
    """Average features over their positions; those that are masked do not count.

    Args:
        x: Features `[batch, features]`, a sequence `[batch, length, features]` or maps
            `[batch, height, width, features]`.
        name: Prefix of the layer's name.

    Returns:
        Tensor `[batch, features]`; zeros for a sequence of padding alone.
    """
    return POOLING[len(x.shape)](name=f"{name}_average")(x) if len(x.shape) in POOLING else x


def match(x, like, name):
    """Bring features to the positions and channels of others: average or interpolate, then project.

    Args:
        x: Features of static shape.
        like: Features of static shape, of the same rank or vectors.
        name: Prefix of the layers' names.

    Returns:
        Tensor of the shape of `like`; `x` itself if it has that shape.

    Raises:
        ValueError: If `like` has more axes than `x`, or a sequence's length is neither a divisor nor a
            multiple of the other's.
    """
    if len(like.shape) == 2:
        x = pool(x, name)
    if len(x.shape) != len(like.shape):
        raise ValueError(f"Features of shape {x.shape} cannot be brought to the shape {like.shape}.")
    if x.shape[1:-1] != like.shape[1:-1]:
        x = _resample(x, like.shape[1:-1], name)
    if x.shape[-1] != like.shape[-1]:
        x = layers.Dense(like.shape[-1], use_bias=False, name=f"{name}_project")(x)
    return x


def _resample(x, size, name):
    """Average blocks of positions where they fit, else interpolate."""
    fits = all(old and new and old % new == 0 for old, new in zip(x.shape[1:-1], size, strict=True))
    blocks = [old // new for old, new in zip(x.shape[1:-1], size, strict=True)] if fits else []
    if len(x.shape) == 4:
        if fits:
            return layers.AveragePooling2D(blocks, name=f"{name}_resize")(x)
        return ops.image.resize(x, size, interpolation="bilinear")
    if fits:
        return layers.AveragePooling1D(blocks[0], name=f"{name}_resize")(x)
    if size[0] % x.shape[1] == 0:
        return layers.UpSampling1D(size[0] // x.shape[1], name=f"{name}_resize")(x)
    raise ValueError(f"A sequence of length {x.shape[1]} cannot be brought to length {size[0]}.")
