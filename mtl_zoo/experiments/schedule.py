"""How the learning rate changes over a training."""

import keras
from keras import ops
from keras.optimizers import schedules

FRACTION = 0.01  # of the learning rate that is left at the end of "exponential"
MAKERS = {  # one for each of `options.SCHEDULES`
    "constant": lambda rate, steps: rate,
    "cosine": lambda rate, steps: schedules.CosineDecay(rate, steps),
    "exponential": lambda rate, steps: schedules.ExponentialDecay(rate, steps, FRACTION),
}


def make_schedule(name, learning_rate, warmup_steps=0, steps=None):
    """Return what a Keras optimizer takes as its learning rate.

    Args:
        name: `"constant"`, `"cosine"` (half a cosine, to 0 at the end) or `"exponential"` (by the same factor
            at every step, to a hundredth at the end).
        learning_rate: The highest rate, which is that of the first step after the warm-up.
        warmup_steps: Number of updates in which the rate rises evenly from 0; what comes after takes place in
            the steps that are left. Defaults to 0.
        steps: Number of updates of the whole training, or `None` where it is not known. Defaults to `None`.

    Returns:
        Number, or `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: If the number of updates is needed and not known, or no step is left after the warm-up.

    Example:

    >>> rate = make_schedule("cosine", 0.1, warmup_steps=10, steps=110)
    >>> [round(float(rate(step)), 6) for step in (0, 5, 10, 60, 110)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    if steps is None and name != "constant":
        raise ValueError(
            f"`schedule` must be 'constant' where the number of batches in an epoch is not known. "
            f"Received: schedule={name!r}"
        )
    if steps is not None and warmup_steps >= steps:
        raise ValueError(
            f"`warmup_steps` must be below the number of all steps, {steps}. "
            f"Received: warmup_steps={warmup_steps}"
        )
    rate = MAKERS[name](learning_rate, None if steps is None else steps - warmup_steps)
    return Warmup(rate, warmup_steps) if warmup_steps else rate


@keras.saving.register_keras_serializable("mtl_zoo")
class Warmup(schedules.LearningRateSchedule):
    """Lets the learning rate rise evenly from 0, then leaves it to another schedule.

    Args:
        rate: Number, or `keras.optimizers.schedules.LearningRateSchedule`, whose steps count from the end of
            the warm-up.
        warmup_steps: Number of steps, positive.

    Note:
        Of a `CosineDecay`, it makes what that does by itself with a `warmup_target`.

    Example:

    >>> rate = Warmup(0.1, 4)
    >>> [round(float(rate(step)), 3) for step in range(6)]
    [0.0, 0.025, 0.05, 0.075, 0.1, 0.1]
    """

    def __init__(self, rate, warmup_steps):
        self.rate = rate
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        """Return the learning rate at a step, counted from 0."""
        after = ops.cast(step, "float32") - self.warmup_steps
        rest = ops.maximum(after, 0.0)
        rate = ops.convert_to_tensor(self.rate(rest) if callable(self.rate) else self.rate, "float32")
        return rate * ops.minimum(1.0 + after / self.warmup_steps, 1.0)

    def get_config(self):
        """Return the arguments; a schedule among them in Keras' own form."""
        rate = keras.saving.serialize_keras_object(self.rate) if callable(self.rate) else self.rate
        return {"rate": rate, "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config):
        """Make the schedule of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["rate"]), config["warmup_steps"])
