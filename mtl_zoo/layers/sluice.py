"""The mixing unit of sluice networks."""

import itertools

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.layers._mixing import add_constant_weight, check_same_shape, mixing_matrix


@keras.saving.register_keras_serializable("mtl_zoo")
class Sluice(keras.layers.Layer):
    """Mixes subspaces of the activations of T towers: `y_a = sum_b kernel[a, b] * x_b`.

    The channels of every tower are cut into `num_subspaces` parts of one size. The kernel starts at
    `diagonal` for a subspace itself, with `1 - diagonal` shared evenly among all others.

    Args:
        num_subspaces: Number of parts, which must divide the channels. Defaults to 2.
        orthogonality: Strength of the penalty that keeps the subspaces of a tower apart: the squared
            Frobenius norm of `X_a^T X_b / items` for each pair of them. Defaults to 1e-3.
        diagonal: Initial weight of a subspace itself. Defaults to 0.9.

    Call arguments:
        towers: List of T tensors of one shape `[batch, ..., channels]`.

    Returns:
        List of T tensors of the same shape.

    Raises:
        ValueError: If the tensors' shapes differ or the number of subspaces does not divide the channels.

    Example:

    >>> unit = Sluice(num_subspaces=2, diagonal=0.7)
    >>> left, right = unit([np.array([[1.0, 0.0]]), np.array([[0.0, 0.0]])])
    >>> np.round([left[0], right[0]], 3)
    array([[0.7, 0.1],
           [0.1, 0.1]], dtype=float32)

    Reference:
        [Ruder et al., 2019](https://arxiv.org/abs/1705.08142)

    Note:
        The penalty is a mean over items (examples and positions) rather than a sum, so that its strength does
        not depend on the size of a batch.
    """

    def __init__(self, num_subspaces=2, orthogonality=1e-3, diagonal=0.9, **kwargs):
        super().__init__(**kwargs)
        self.num_subspaces = arguments.integer("num_subspaces", num_subspaces, 1, arguments.COPIES)
        self.orthogonality = arguments.number("orthogonality", orthogonality, least=0)
        self.diagonal = arguments.number("diagonal", diagonal)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the kernel `[T * num_subspaces, T * num_subspaces]`."""
        check_same_shape(input_shape)
        if input_shape[0][-1] % self.num_subspaces:
            raise ValueError(
                "The number of subspaces must divide the channels. "
                f"Received: num_subspaces={self.num_subspaces}, {input_shape[0][-1]} channels"
            )
        matrix = mixing_matrix(len(input_shape) * self.num_subspaces, self.diagonal)
        self.kernel = add_constant_weight(self, "kernel", matrix)

    def call(self, towers):
        """Return the mixed towers; add the penalty."""
        subspaces = [ops.split(x, self.num_subspaces, axis=-1) for x in towers]
        if self.orthogonality and self.num_subspaces > 1:
            self.add_loss(self.orthogonality * sum(map(_overlap, subspaces)))
        stacked = ops.stack([part for parts in subspaces for part in parts], axis=-1)
        mixed = ops.unstack(ops.matmul(stacked, ops.transpose(self.kernel)), axis=-1)
        step = self.num_subspaces
        return [ops.concatenate(mixed[i : i + step], axis=-1) for i in range(0, len(mixed), step)]

    def compute_output_shape(self, input_shape):
        """Return the towers' shapes."""
        return input_shape


def _overlap(parts):
    """Return the sum over pairs of a tower's subspaces of their squared mean product, as float32."""
    rows = [ops.cast(ops.reshape(part, (-1, part.shape[-1])), "float32") for part in parts]
    items = ops.cast(ops.shape(rows[0])[0], "float32")
    products = [ops.matmul(ops.transpose(a), b) / items for a, b in itertools.combinations(rows, 2)]
    return sum(ops.sum(ops.square(product)) for product in products)
