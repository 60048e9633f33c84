"""Weights as matrices from inputs to outputs, as the layers use them that own them."""

import keras
import numpy as np
from keras import layers

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


def input_axes(layer):
    """Return the axes of every weight that belong to its inputs; the others belong to its outputs.

    Kernels of convolutions are matrices from height, width and channels to filters; those of transposed ones
    from channels to height, width and filters; those of `EinsumDense` and attention are what their equation
    says. Other weights are matrices if they have two axes.

    Args:
        layer: Built layer, maybe made of others.

    Returns:
        List of tuples of integers, one for each of `layer.weights`; `None` for what is no matrix: biases,
        scales, and kernels of which every channel has its own.

    Example:

    >>> layer = keras.layers.Conv2D(8, 3)
    >>> layer.build((None, 9, 9, 4))
    >>> input_axes(layer)
    [(0, 1, 2), None]
    """
    kernels = {}
    for inner in layer._flatten_layers():
        kernels[id(getattr(inner, "bias", None))] = None  # which has two axes in attention and in a `GRU`
        if hasattr(inner, "pointwise_kernel"):  # of a separable convolution
            kernels[id(inner.pointwise_kernel)] = tuple(range(len(inner.pointwise_kernel.shape) - 1))
        elif isinstance(kernel := getattr(inner, "kernel", None), keras.Variable):
            kernels[id(kernel)] = _axes_of_kernel(inner, len(kernel.shape))
    return [kernels.get(id(x), (0,) if len(x.shape) == 2 else None) for x in layer.weights]


def through(function, updates, axes):
    """Return what a function makes of weights as matrices, in their own shape.

    Args:
        function: Function from an array `[T, inputs, outputs]` to one `[inputs, outputs]`.
        updates: Array `[T, *shape]`.
        axes: Axes of `shape` that belong to the inputs.

    Example:

    >>> kernels = np.ones((2, 3, 3, 4, 8))
    >>> through(lambda matrices: matrices.sum(axis=0), kernels, (0, 1, 2)).shape
    (3, 3, 4, 8)
    """
    shape = updates.shape[1:]
    order = [*axes, *(axis for axis in range(len(shape)) if axis not in axes)]
    inputs = int(np.prod([shape[axis] for axis in axes]))
    moved = np.transpose(updates, [0, *(axis + 1 for axis in order)])
    merged = function(moved.reshape(len(updates), inputs, -1))
    return np.transpose(merged.reshape(moved.shape[1:]), np.argsort(order))


def _axes_of_kernel(layer, rank):
    if isinstance(layer, layers.EinsumDense):
        return _axes_of_equation(layer.equation)
    if isinstance(layer, TRANSPOSED):
        return (rank - 1,)
    if isinstance(layer, CONVOLUTIONS) and layer.groups == 1:
        return tuple(range(rank - 1))
    return (0,) if rank == 2 else None


def _axes_of_equation(equation):
    """Return the axes of a kernel that an equation such as `abc,cde->abde` sums over."""
    kernel, outputs = equation.split(",")[1].split("->")
    axes = tuple(axis for axis, letter in enumerate(kernel) if letter not in outputs)
    return axes if 0 < len(axes) < len(kernel) else None
