"""Running numbers per task."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class MeanPerTask(keras.metrics.Metric):
    """Keeps a weighted mean for each of T tasks, in one update for all of them; NaN before the first.

    Args:
        num_tasks: T.

    Example:

    >>> mean = MeanPerTask(2)
    >>> mean.update_state([1.0, 5.0], sample_weight=[1.0, 1.0])
    >>> mean.update_state([3.0, 0.0], sample_weight=[1.0, 0.0])
    >>> mean.result().numpy()
    array([2., 5.], dtype=float32)
    """

    def __init__(self, num_tasks, **kwargs):
        super().__init__(**kwargs)
        self.num_tasks = num_tasks
        self.total = self.add_variable((num_tasks,), "zeros", name="total")
        self.count = self.add_variable((num_tasks,), "zeros", name="count")

    def update_state(self, values, sample_weight):
        """Add one value per task.

        Args:
            values: Tensor `[T]`.
            sample_weight: Tensor `[T]`, weights of the values in their means.
        """
        sample_weight = ops.cast(sample_weight, self.dtype)
        self.total.assign_add(sample_weight * ops.cast(values, self.dtype))
        self.count.assign_add(sample_weight)

    def result(self):
        """Return the means, `[T]`; NaN for a task without a weight: nothing was measured."""
        return ops.where(self.count > 0, ops.divide_no_nan(self.total, self.count), math.nan)


@keras.saving.register_keras_serializable("mtl_zoo")
class SkippedSteps(keras.metrics.Metric):
    """Counts the steps that were skipped, and the tasks whose losses or gradients were why.

    Args:
        names: Names of the tasks.

    Example:

    >>> skipped = SkippedSteps(["click", "price"])
    >>> skipped.update_state([False, True], [True, True])
    >>> int(skipped.result()), skipped.reasons()
    (1, {"the loss of task 'price'": 1, "the gradient of task 'click'": 1})
    """

    def __init__(self, names, **kwargs):
        super().__init__(**kwargs)
        self.names = list(names)
        self.steps = self.add_variable((), "zeros", name="steps")
        self.bad_losses = self.add_variable((len(self.names),), "zeros", name="bad_losses")
        self.bad_gradients = self.add_variable((len(self.names),), "zeros", name="bad_gradients")

    def update_state(self, losses, gradients, sample_weight=1.0):
        """Count one skipped step.

        Args:
            losses: Boolean tensor `[T]`: which losses are not finite.
            gradients: Boolean tensor `[T]`: which gradients, as far as they are known for each task.
            sample_weight: What to add, less than 1 where several replicas count the same step.
        """
        losses, gradients = ops.cast(losses, self.dtype), ops.cast(gradients, self.dtype)
        self.steps.assign_add(sample_weight)
        self.bad_losses.assign_add(sample_weight * losses)
        self.bad_gradients.assign_add(sample_weight * (1.0 - losses) * gradients)

    def result(self):
        """Return the number of skipped steps."""
        return 1.0 * self.steps

    def reasons(self):
        """Return a dict from reasons to numbers of steps."""
        found = {}
        for what, counts in {"loss": self.bad_losses, "gradient": self.bad_gradients}.items():
            for name, count in zip(self.names, ops.convert_to_numpy(1.0 * counts), strict=True):
                if count:
                    found[f"the {what} of task '{name}'"] = math.ceil(count)  # one replica alone adds less
        return found or {"a gradient or the state of a layer": round(float(1.0 * self.steps))}
