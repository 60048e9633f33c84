"""Weights from the inverses of the losses, smoothed by a softmax."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class UWSO(Balancer):
    """Weights the losses by `softmax(1 / losses / temperature)`.

    Soft optimal uncertainty weighting: `1 / loss` is the weight to which `Uncertainty` tends, found at once
    instead of learned. The softmax keeps a small loss from taking all: the weights sum to 1 over the present
    tasks, and are constants to the gradient. Losses must not be negative: `fit` warns of those that are.

    Args:
        temperature: Larger means more even weights. The paper searches for it on every dataset; what suits
            depends on the scale of the losses. Defaults to 1, which is ours.

    Raises:
        ValueError: If `temperature` is not positive.

    Example:

    >>> balancer = UWSO()
    >>> losses = np.array([2.0, 0.5, 1.0])  # weights 0.14024, 0.62853, 0.23122
    >>> round(float(balancer(losses)), 5)
    0.82598

    Reference:
        [Kirchdorfer et al., 2024](https://arxiv.org/abs/2408.07985)

    Note:
        A task whose loss is below 1e-12 is left out, as an absent one is: it would take all the weight.
    """

    min_losses = 0.0

    def __init__(self, temperature=1.0, **kwargs):
        super().__init__(**kwargs)
        self.temperature = arguments.number("temperature", temperature, above=0)

    def combine(self, losses, present):
        losses, present = unsolved(losses, present)
        inverse = ops.minimum(1.0 / losses / self.temperature, arguments.LARGEST)
        weights = masked.softmax(inverse, present)
        return ops.sum(ops.stop_gradient(weights) * losses)
