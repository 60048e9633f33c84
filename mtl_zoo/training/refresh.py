"""Weights of the tasks that are found in one step and used in the next ones too."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import GramianAggregator
from mtl_zoo.numerics.masked import everyone


@keras.saving.register_keras_serializable("mtl_zoo")
class Refresh(GramianAggregator):
    """Weighs as another method does, whose weights it renews in every n-th call only.

    Between, the last ones are used. They are renewed earlier where a task is present that was not when they
    were found. `max_norm` shortens every direction. The state of the method moves when weights are renewed.

    Args:
        aggregator: Built `GramianAggregator` with one set of weights for all that is shared.
        every: Number of calls n.

    Example:

    >>> aggregator = mz.aggregators.UPGrad()
    >>> aggregator.build((2, None))
    >>> refresh = Refresh(aggregator, 2)
    >>> refresh(np.array([[1.0, 0.0], [0.0, 1.0]])).numpy().round(4)
    array([0.5, 0.5], dtype=float32)
    >>> refresh(np.array([[1.0, 0.0], [-2.0, 0.0]])).numpy().round(4)  # the same weights
    array([-0.5,  0. ], dtype=float32)

    Reference:
        [Navon et al., 2022](https://arxiv.org/abs/2202.01017)
    """

    def __init__(self, aggregator, every, **kwargs):
        super().__init__(**kwargs)
        self.aggregator, self.every = aggregator, every
        self.weighs_losses, self.max_norm = aggregator.weighs_losses, aggregator.max_norm
        self.build((aggregator.task_weights.shape[0], None))

    def build(self, jacobian_shape):
        self.task_weights = self.aggregator.task_weights
        if self.weighs_losses:
            self.loss_weights = self.aggregator.loss_weights
        self.kept = self.add_task_weights("kept", jacobian_shape, 0.0)
        self.known = self.add_task_weights("known", jacobian_shape, 0.0)
        self.wait = self.add_weight(
            name="wait", shape=(), initializer="zeros", dtype="int32", trainable=False
        )
        self.built = True

    def is_due(self, present):
        """Return whether weights have to be renewed.

        Args:
            present: Boolean tensor `[T]`: which tasks have labels; `None` for all.
        """
        new = ops.logical_and(everyone(present, self.known.shape[0]), self.known == 0)
        return ops.logical_or(self.wait <= 0, ops.any(new))

    def compute_weights(self, gramian, losses, present):
        def renewed():
            weights = self.aggregator.compute_weights(gramian, losses, present)
            self.kept.assign(weights)
            self.known.assign(ops.cast(everyone(present, self.known.shape[0]), self.known.dtype))
            self.wait.assign(self.every - 1)
            return ops.cast(weights, gramian.dtype)

        def kept():
            self.count()
            return ops.cast(self.kept, gramian.dtype)

        return ops.cond(self.is_due(present), renewed, kept)

    def count(self):
        """Count a step in which the weights stay."""
        self.wait.assign(self.wait - 1)

    def get_config(self):
        """Return the constructor arguments."""
        aggregator = keras.saving.serialize_keras_object(self.aggregator)
        return {**super().get_config(), "aggregator": aggregator, "every": self.every}


def refreshing(aggregator, every):
    """Return an aggregator whose weights are renewed in every n-th step: itself if that is every step.

    Args:
        aggregator: Built `Aggregator` or `None`.
        every: Number of steps n.

    Raises:
        ValueError: If `every` is no positive integer, or above 1 and the aggregator is not one that finds
            one set of weights.
    """
    every = arguments.integer("refresh_every", every, 1, arguments.BATCHES)
    if every == 1:
        return aggregator
    if not isinstance(aggregator, GramianAggregator) or aggregator.per_reach:
        raise ValueError(
            "`refresh_every` above 1 needs an aggregator that finds one set of weights for all that is "
            f"shared, a `GramianAggregator`. Received: refresh_every={every}, "
            f"aggregator={type(aggregator).__name__}"
        )
    return Refresh(aggregator, every)
