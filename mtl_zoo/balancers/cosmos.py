"""A preferred weighting whose losses are drawn towards the preferred direction."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked
from mtl_zoo.numerics.dirichlet import log_gamma

TINY = 1e-30


@keras.saving.register_keras_serializable("mtl_zoo")
class COSMOS(Balancer):
    """Weights the losses by preferences and rewards losses in the direction of the preferences.

    The scalar is `sum(r * losses) - strength * cos(r, losses)`, with `r` the preferences. The second term
    spreads the solutions for different `r` over the Pareto front; it can give a loss a negative weight.

    Args:
        preferences: One non-negative number per task, the vector `r`. Defaults to `None`: drawn anew at every
            step from a symmetric Dirichlet distribution over the present tasks.
        strength: Factor of the cosine. Defaults to 2.
        alpha: Concentration of the Dirichlet distribution: below 1 mostly one task counts, 1 is uniform, and
            large values weight the tasks alike. Defaults to 1.2.
        seed: Integer seed of the drawn preferences. Defaults to `None`: drawn from the global seed of Keras.

    Raises:
        ValueError: If `preferences` has a negative entry or no positive one, `strength` is negative, `alpha`
            is not positive, or (when built) there is not one preference per task.

    Example:

    >>> float(COSMOS(preferences=[3.0, 4.0], strength=2.0)(np.array([3.0, 4.0])))
    23.0

    Reference:
        [Ruchte and Grabocka, 2021](https://arxiv.org/abs/2103.13353)

    Note:
        In the paper the network gets `r` as an input as well, so that one network serves all preferences.
        That is not the balancer's business: with fixed `preferences`, this trains one point of the front, and
        with drawn ones a network that does well on average. The defaults are those of the authors' code for
        MultiMNIST. The cosine counts as 0 where all losses are 0.
    """

    def __init__(self, preferences=None, strength=2.0, alpha=1.2, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.preferences = arguments.preferences(preferences)
        self.strength = arguments.number("strength", strength, least=0)
        self.alpha = arguments.number("alpha", alpha, above=0)
        self.random = keras.random.SeedGenerator(arguments.seed("seed", seed))

    def build(self, losses_shape):
        arguments.per_task("preferences", self.preferences, losses_shape[0])

    def combine(self, losses, present):
        preferences, losses = self._draw(losses, present), present * losses
        value = ops.sum(preferences * losses)
        lengths = ops.sum(ops.square(preferences)) * ops.sum(ops.square(losses))
        return value - self.strength * value / ops.sqrt(ops.maximum(lengths, TINY))

    def _draw(self, losses, present):
        if self.preferences is not None:
            return present * ops.convert_to_tensor(self.preferences, losses.dtype)
        return masked.softmax(log_gamma(losses.shape, self.alpha, losses.dtype, self.random), present)
