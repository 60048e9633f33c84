"""Penalties on weights: of the corresponding ones of several towers, and of subspaces of one tower."""

import itertools
import math

import keras
from keras import ops


def l2(weights):
    """Return the sum over pairs of towers of the squared distance between their weights.

    Args:
        weights: List of T tensors of one shape.

    Returns:
        Scalar tensor.

    Reference:
        [Duong et al., 2015](https://aclanthology.org/P15-2139)
    """
    stacked = ops.stack(weights, axis=0)
    deviations = stacked - ops.mean(stacked, axis=0, keepdims=True)
    return len(weights) * ops.sum(ops.square(deviations))  # sum over pairs = T * sum of squared deviations


def last_axis(weights):
    """Return the trace norm of the weights, flattened to one column per tower.

    Args:
        weights: List of T tensors of one shape.

    Returns:
        Scalar tensor.

    Reference:
        [Yang & Hospedales, 2017](https://arxiv.org/abs/1606.04038)
    """
    stacked = ops.stack(weights, axis=-1)
    return trace_norm(ops.reshape(stacked, (-1, len(weights))))


def tucker(weights):
    """Return the mean trace norm over the unfoldings of the stacked weights along each of their axes.

    Args:
        weights: List of T tensors of one shape.

    Returns:
        Scalar tensor.

    Reference:
        [Yang & Hospedales, 2017](https://arxiv.org/abs/1606.04038)
    """
    stacked = ops.stack(weights, axis=-1)
    unfoldings = [
        ops.reshape(ops.moveaxis(stacked, axis, 0), (size, -1)) for axis, size in enumerate(stacked.shape)
    ]
    return sum(trace_norm(matrix) for matrix in unfoldings) / len(unfoldings)


def tensor_train(weights):
    """Return the mean trace norm over the unfoldings of the stacked weights before and after each axis.

    Args:
        weights: List of T tensors of one shape.

    Returns:
        Scalar tensor.

    Reference:
        [Yang & Hospedales, 2017](https://arxiv.org/abs/1606.04038)
    """
    stacked = ops.stack(weights, axis=-1)
    rows = [math.prod(stacked.shape[:axis]) for axis in range(1, len(stacked.shape))]
    return sum(trace_norm(ops.reshape(stacked, (size, -1))) for size in rows) / len(rows)


def trace_norm(matrix):
    """Return the sum of the singular values of a matrix.

    The gradient is `U V^T`, taken through the eigenvalues of the smaller Gramian only, so that it stays
    finite for equal towers, where the gradient of a singular value decomposition is not.

    Args:
        matrix: Tensor `[rows, columns]`.

    Returns:
        Scalar tensor.
    """
    rows, columns = matrix.shape
    gramian = matrix @ ops.transpose(matrix) if rows <= columns else ops.transpose(matrix) @ matrix
    eigenvalues, vectors = ops.eigh(ops.stop_gradient(gramian))
    cutoff = 1e-6 * ops.max(eigenvalues)
    roots = ops.sqrt(ops.maximum(eigenvalues, 0.0))
    inverse_roots = ops.where(eigenvalues > cutoff, ops.divide_no_nan(1.0, roots), 0.0)
    slope = 0.5 * (vectors * inverse_roots) @ ops.transpose(vectors)
    first_order = ops.sum(slope * gramian)
    return ops.sum(roots) + first_order - ops.stop_gradient(first_order)


PENALTIES = {"l2": l2, "last_axis": last_axis, "tucker": tucker, "tensor_train": tensor_train}


@keras.saving.register_keras_serializable("mtl_zoo")
class SubspaceOrthogonality(keras.regularizers.Regularizer):
    """Penalises subspaces of a layer's units that see the same: `strength * sum_{a < b} ||K_a^T K_b||^2`.

    `K_a` are the columns of the kernel, one per unit, of subspace a; the norm is Frobenius'. It is 0 where
    every unit's weights are orthogonal to those of all units of other subspaces.

    Args:
        num_subspaces: Number of subspaces, which must divide the units.
        strength: Factor. Defaults to 1e-3.
        also: Another regularizer of the same kernel, to be added. Defaults to `None`.

    Example:

    >>> kernel = np.array([[1.0, 1.0], [0.0, 2.0]])  # two units: (1, 0) and (1, 2)
    >>> float(SubspaceOrthogonality(num_subspaces=2, strength=0.5)(kernel))
    0.5

    Reference:
        [Ruder et al., 2019](https://arxiv.org/abs/1705.08142)
    """

    def __init__(self, num_subspaces, strength=1e-3, also=None):
        self.num_subspaces = num_subspaces
        self.strength = strength
        self.also = also

    def __call__(self, x):
        """Return the penalty of a kernel `[..., inputs, units]`."""
        x = ops.convert_to_tensor(x)
        parts = ops.split(ops.reshape(x, (-1, x.shape[-1])), self.num_subspaces, axis=-1)
        products = [ops.matmul(ops.transpose(a), b) for a, b in itertools.combinations(parts, 2)]
        penalty = self.strength * sum(ops.sum(ops.square(product)) for product in products)
        return penalty if self.also is None else penalty + self.also(x)

    def get_config(self):
        """Return the arguments."""
        also = keras.regularizers.serialize(self.also) if self.also is not None else None
        return {"num_subspaces": self.num_subspaces, "strength": self.strength, "also": also}

    @classmethod
    def from_config(cls, config):
        """Return the regularizer of a config."""
        return cls(**{**config, "also": keras.regularizers.get(config["also"])})
