"""Moving averages of another method's weights."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import GramianAggregator, num_tasks
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class CRMOGM(GramianAggregator):
    """Correlation reduction: averages the weights of another aggregator over the steps.

    Weights computed from the gradients of one batch are correlated with their noise, so that the direction is
    biased and need not converge; averages depend on the batch far less.

    Weights of losses stay such: with `NashMTL` the gradients of heads are multiplied by the averages, and its
    `max_norm` shortens the direction of the averages.

    Args:
        aggregator: `GramianAggregator` whose weights are averaged, for instance `MGDA()`.
        decay: Weight of the past, at least 0 and below 1. Defaults to 0.9, which is ours. The averages
            start at 1 / T.

    Raises:
        TypeError: If `aggregator` is not a `GramianAggregator`.
        ValueError: If `decay` is not in [0, 1), or `aggregator` has no weights for all that is shared.

    Example:

    >>> aggregator = CRMOGM(mz.aggregators.MGDA())
    >>> aggregator(np.array([[2.0, 0.0], [0.0, 1.0]])).numpy().round(4)  # weights 0.2 and 0.8 of MGDA
    array([0.94, 0.53], dtype=float32)

    Reference:
        [Zhou et al., 2022](https://openreview.net/forum?id=ScwfQ7hdwyP)

    Note:
        The paper lets the decay follow the learning rate; it is constant here. The average of an absent task
        stays, so weights that have sum 1 in the other method may differ from that by a little here.
    """

    def __init__(self, aggregator, decay=0.9, **kwargs):
        super().__init__(**kwargs)
        self.aggregator = arguments.instance("aggregator", aggregator, GramianAggregator)
        self.decay = arguments.number("decay", decay, least=0, below=1)
        if aggregator.per_reach:
            raise ValueError(
                "`aggregator` must have one set of weights for all that is shared, which "
                f"{type(aggregator).__name__} has not. Received: aggregator={aggregator!r}"
            )
        self.weighs_losses, self.max_norm = aggregator.weighs_losses, aggregator.max_norm

    def for_tasks(self, names):
        """Let the other method take what was given to it by names of tasks."""
        self.aggregator.for_tasks(names)

    def build(self, jacobian_shape):
        super().build(jacobian_shape)
        if not self.aggregator.built:
            self.aggregator.build(jacobian_shape)
        share = 1.0 / num_tasks(jacobian_shape)
        self.averages = self.add_task_weights("averages", jacobian_shape, share)

    def compute_weights(self, gramian, losses, present):
        dtype = self.aggregator.compute_dtype
        losses = None if losses is None else ops.cast(losses, dtype)
        latest = self.aggregator.compute_weights(ops.cast(gramian, dtype), losses, present)
        latest = ops.cast(latest, self.compute_dtype)
        present = masked.everyone(present, gramian.shape[0])
        moved = self.decay * self.averages + (1.0 - self.decay) * latest
        self.averages.assign(ops.where(present, moved, self.averages))
        return ops.copy(self.averages)

    def get_config(self):
        """Return the constructor arguments."""
        aggregator = keras.saving.serialize_keras_object(self.aggregator)
        return {**super().get_config(), "aggregator": aggregator, "decay": self.decay}

    @classmethod
    def from_config(cls, config):
        """Return an aggregator from what `get_config` returned."""
        aggregator = keras.saving.deserialize_keras_object(config["aggregator"])
        return cls(**{**config, "aggregator": aggregator})
