"""The sparse gate of DSelect-k."""

import math

import keras
import numpy as np
from keras import ops

from mtl_zoo import arguments


@keras.saving.register_keras_serializable("mtl_zoo")
class DSelectKGate(keras.layers.Layer):
    """Weighs experts so that training can end with at most `num_selected` of them in use.

    A selector names one expert by `ceil(log2(num_experts))` bits, each the smooth step of a number: exactly 0
    below `-gamma / 2`, exactly 1 above `gamma / 2`, a cubic between. The gate is a softmax mixture of
    selectors. All weights are at least 0 and their sum is 1; `num_selected` of them are not 0 where every
    bit is decided and the selectors differ.

    Args:
        num_experts: Number of experts, at least 2.
        num_selected: Number of selectors, k. Defaults to 2.
        gamma: Width of the smooth step. The smaller, the sooner a selector decides. Defaults to 1.
        entropy: Strength of the penalty on the selectors' entropy, averaged over examples, which makes them
            decide. Defaults to 1e-3.
        per_example: Whether the gate is a function of the input, or the same for all examples. Defaults to
            `False`.

    Call arguments:
        x: Features `[batch, features]`.

    Returns:
        Weights `[batch, num_experts]`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> gate = DSelectKGate(num_experts=4, num_selected=1, gamma=0.01)(np.ones((2, 3)))
    >>> gate.shape, np.round(np.sum(gate, axis=1), 5)
    (TensorShape([2, 4]), array([1., 1.], dtype=float32))

    Reference:
        [Hazimeh et al., 2021](https://arxiv.org/abs/2106.03760)

    Note:
        Where the number of experts is not a power of two, the paper penalises codes that belong to no
        expert. Here code c belongs to expert `c % num_experts`, so that there are none.
    """

    def __init__(self, num_experts, num_selected=2, gamma=1.0, entropy=1e-3, per_example=False, **kwargs):
        super().__init__(**kwargs)
        self.num_experts = arguments.integer("num_experts", num_experts, 1, arguments.COPIES)
        self.num_selected = arguments.integer("num_selected", num_selected)
        self.gamma = arguments.number("gamma", gamma, above=0)
        self.entropy = arguments.number("entropy", entropy, least=0)
        self.per_example = arguments.flag("per_example", per_example)
        _check(num_experts, num_selected)
        self.num_bits = math.ceil(math.log2(num_experts))

    def build(self, input_shape):
        """Create the numbers behind bits and mixture; of a linear function of the input if `per_example`."""
        near_zero = keras.initializers.RandomUniform(-self.gamma / 100, self.gamma / 100)
        self._add_affine("bit", input_shape[-1], self.num_selected * self.num_bits, near_zero)
        if self.num_selected > 1:
            self._add_affine("mixture", input_shape[-1], self.num_selected, "random_uniform")

    def call(self, x):
        """Return the weights; add the penalty."""
        selectors = self._selectors(self._affine(x, "bit"))
        shares = ops.cast(selectors, "float32")
        entropy = -ops.sum(shares * ops.log(ops.maximum(shares, 1e-6)), axis=(1, 2))
        self.add_loss(self.entropy * ops.mean(entropy))
        if self.num_selected == 1:
            return selectors[:, 0]
        mixture = ops.softmax(self._affine(x, "mixture"), axis=-1)
        return ops.sum(mixture[..., None] * selectors, axis=1)

    def _add_affine(self, name, num_features, size, initializer):
        setattr(self, f"{name}_bias", self.add_weight((size,), initializer, name=f"{name}_bias"))
        if self.per_example:
            kernel = self.add_weight((num_features, size), initializer, name=f"{name}_kernel")
            setattr(self, f"{name}_kernel", kernel)

    def _affine(self, x, name):
        bias = getattr(self, f"{name}_bias")
        if self.per_example:
            return ops.matmul(x, getattr(self, f"{name}_kernel")) + bias
        return ops.broadcast_to(bias, (ops.shape(x)[0], bias.shape[0]))

    def _selectors(self, numbers):
        """Return the weights `[batch, num_selected, num_experts]` that each selector gives to the experts."""
        bits = smooth_step(ops.reshape(numbers, (-1, self.num_selected, 1, self.num_bits)), self.gamma)
        codes = np.arange(2**self.num_bits)
        wanted = (codes[:, None] >> np.arange(self.num_bits)) & 1
        chances = ops.prod(ops.where(wanted == 1, bits, 1.0 - bits), axis=-1)
        expert_of_code = np.eye(self.num_experts)[codes % self.num_experts]
        return ops.matmul(chances, ops.cast(expert_of_code, chances.dtype))

    def compute_output_shape(self, input_shape):
        """Return the shape of the weights."""
        return (input_shape[0], self.num_experts)


def smooth_step(x, gamma):
    """Return 0 below `-gamma / 2`, 1 above `gamma / 2`, and the cubic of slope 0 at both ends between."""
    ratio = ops.clip(x / gamma, -0.5, 0.5)
    return 0.5 + 1.5 * ratio - 2.0 * ratio**3


def _check(num_experts, num_selected):
    if not 1 <= num_selected <= num_experts or num_experts < 2:
        raise ValueError(
            "There must be at least 2 experts, and from 1 to all of them selected. "
            f"Received: num_experts={num_experts}, num_selected={num_selected}"
        )
