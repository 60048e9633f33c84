"""Preferences among tasks, given with the inputs or drawn in training."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.numerics.dirichlet import dirichlet


@keras.saving.register_keras_serializable("mtl_zoo")
class DrawnPreferences(keras.layers.Layer):
    """Gives every example shares of the tasks that sum to 1.

    Preferences that come with the inputs are scaled to the sum 1; negative ones count as 0. An example
    without a positive one has equal shares, but in training shares that are drawn: at first equal ones, the
    centre, and after `steps` steps from the whole simplex, to its corners, where one task has all.

    Args:
        steps: Number of training steps until the draws reach the corners. Defaults to 1,000.
        alpha: Concentration of the Dirichlet distribution of the draws: below 1 corners are likely, 1 is
            uniform. Defaults to 1.
        seed: Integer seed. Defaults to `None`: drawn from the global seed of Keras.

    Call arguments:
        preferences: Tensor `[batch, tasks]`.

    Returns:
        Tensor `[batch, tasks]` of non-negative numbers with row sums 1.

    Raises:
        ValueError: If a number is out of bounds.

    Example:

    >>> DrawnPreferences()(np.array([[3.0, 1.0], [0.0, 0.0]], "float32")).numpy()
    array([[0.75, 0.25],
           [0.5 , 0.5 ]], dtype=float32)
    """

    def __init__(self, steps=1_000, alpha=1.0, seed=None, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.steps = arguments.integer("steps", steps, 1)
        self.alpha = arguments.number("alpha", alpha, above=0)
        self.seed = arguments.seed("seed", seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def build(self, preferences_shape):
        self.step = self.add_weight(
            name="step", shape=(), initializer="zeros", trainable=False, aggregation="only_first_replica"
        )

    def call(self, preferences, training=False):
        given = ops.maximum(preferences, 0.0)
        total = ops.sum(given, axis=-1, keepdims=True)
        others = self._drawn(given) if training else ops.ones_like(given) / given.shape[-1]
        return ops.where(total > 0, given / ops.where(total > 0, total, 1.0), others)

    def _drawn(self, like):
        """Draw shares, and count the step."""
        reach = ops.minimum(self.step / self.steps, 1.0)
        self.step.assign(ops.minimum(self.step + 1.0, self.steps))
        drawn = dirichlet(ops.shape(like), self.alpha, like.dtype, self.random)
        return reach * drawn + (1.0 - reach) / like.shape[-1]
