"""How layers start that mix towers."""

import numpy as np
from keras import ops


def check_same_shape(input_shape):
    """Raise an error unless all towers have the same shape."""
    if len({tuple(shape) for shape in input_shape}) > 1:
        raise ValueError(f"All towers must have the same shape. Received: {input_shape}")


def mixing_matrix(size, diagonal):
    """Return a square matrix with `diagonal` on it, and `1 - diagonal` shared evenly in the rest of a row."""
    matrix = np.full((size, size), (1.0 - diagonal) / max(size - 1, 1))
    np.fill_diagonal(matrix, diagonal if size > 1 else 1.0)
    return matrix


def add_constant_weight(layer, name, value):
    """Add a trainable weight that starts at `value`."""
    return layer.add_weight(
        name=name,
        shape=value.shape,
        initializer=lambda shape, dtype: ops.convert_to_tensor(value, dtype),
    )
