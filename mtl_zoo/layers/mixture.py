"""The mixture of experts."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class Mixture(keras.layers.Layer):
    """Sums the outputs of experts, weighted per example: `y = sum_e gate[:, e] * x_e`.

    Call arguments:
        inputs: List of the gate `[batch, experts]`, then of one tensor `[batch, ...]` per expert, all of one
            shape.

    Returns:
        Tensor of an expert's shape.

    Raises:
        ValueError: If the number of experts is not the gate's, or their shapes differ.

    Example:

    >>> Mixture()([np.array([[0.25, 0.75]]), np.array([[4.0]]), np.array([[8.0]])]).numpy()
    array([[7.]], dtype=float32)

    Reference:
        [Jacobs et al., 1991](https://doi.org/10.1162/neco.1991.3.1.79)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        gate, *experts = input_shape
        if len({tuple(shape) for shape in experts}) != 1 or gate[-1] != len(experts):
            raise ValueError(
                "A gate must have one weight per expert, and all experts one shape. "
                f"Received: a gate of shape {gate} and experts of shapes {experts}"
            )

    def call(self, inputs):
        gate, *experts = inputs
        stacked = ops.stack(experts, axis=1)
        gate = ops.reshape(gate, (-1, len(experts), *[1] * (len(stacked.shape) - 2)))
        return ops.sum(gate * stacked, axis=1)

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask[1]

    def compute_output_shape(self, input_shape):
        return input_shape[1]
