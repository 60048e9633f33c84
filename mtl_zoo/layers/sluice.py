"""The mixing unit of sluice networks."""

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
    """

    def __init__(self, num_subspaces=2, diagonal=0.9, **kwargs):
        super().__init__(**kwargs)
        self.num_subspaces = arguments.integer("num_subspaces", num_subspaces, 1, arguments.COPIES)
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
        """Return the mixed towers."""
        subspaces = [ops.split(x, self.num_subspaces, axis=-1) for x in towers]
        stacked = ops.stack([part for parts in subspaces for part in parts], axis=-1)
        mixed = ops.unstack(ops.matmul(stacked, ops.transpose(self.kernel)), axis=-1)
        step = self.num_subspaces
        return [ops.concatenate(mixed[i : i + step], axis=-1) for i in range(0, len(mixed), step)]

    def compute_output_shape(self, input_shape):
        """Return the towers' shapes."""
        return input_shape
