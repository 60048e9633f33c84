"""What `fit` says of losses and gradients with which a method cannot work."""

import keras
import numpy as np
from absl import logging


class NonFinite(keras.callbacks.Callback):
    """Warns of skipped steps at the end of an epoch, or ends the training at the first one.

    The overflows of half precision, which a `LossScaleOptimizer` expects, are neither. Warns, once, of each
    task whose mean loss in an epoch is below what the balancer or the aggregator can work with, its
    `min_losses`.
    """

    def __init__(self):
        super().__init__()
        self.too_low = set()

    def on_train_batch_end(self, batch, logs=None):
        """Raise an error if a step was skipped and training is to stop then."""
        if self.model.non_finite == "stop" and float(logs["skipped_steps"]):
            reasons = self._reasons()
            if reasons:
                found = " and ".join(reasons)
                step = "step" if self.model.steps_per_execution == 1 else "a step up to"
                raise FloatingPointError(
                    f"{found[0].upper()}{found[1:]} must be finite. Received: another value in {step} "
                    f"{batch + 1} of the epoch, which was not applied"
                )

    def on_epoch_end(self, epoch, logs=None):
        """Warn if steps were skipped, or losses are too low for a method."""
        for method in (self.model.balancer, self.model.aggregator):
            if getattr(method, "min_losses", None) is not None:
                self._warn_of_low_losses(method, epoch, logs)
        if float(logs["skipped_steps"]):
            reasons = [f"{reason} was not finite in {number}" for reason, number in self._reasons().items()]
            if reasons:
                steps = round(float(logs["skipped_steps"]))
                logging.warning("Epoch %d skipped %d steps: %s.", epoch + 1, steps, ", ".join(reasons))

    def _warn_of_low_losses(self, method, epoch, logs):
        names = [task.name for task in self.model.tasks]
        for name, least in zip(names, np.broadcast_to(method.min_losses, len(names)), strict=True):
            loss = float(logs[f"{name}_loss"])
            if loss < least and name not in self.too_low:
                self.too_low.add(name)
                logging.warning(
                    "%s needs losses of at least %g, and cannot balance a task with others. "
                    "Received: a mean loss of %g for task '%s' in epoch %d.",
                    *(type(method).__name__, least, loss, name, epoch + 1),
                )

    def _reasons(self):
        overflows = isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer)
        found = self.model.skipped.reasons()
        return {reason: n for reason, n in found.items() if not overflows or reason.startswith("the loss")}
