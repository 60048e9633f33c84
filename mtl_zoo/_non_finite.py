"""What `fit` says of steps whose losses or gradients are not finite."""

import keras
from absl import logging


class NonFinite(keras.callbacks.Callback):
    """Warns of skipped steps at the end of an epoch, or ends the training at the first one.

    The overflows of half precision, which a `LossScaleOptimizer` expects, are neither.
    """

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
        """Warn if steps were skipped."""
        if float(logs["skipped_steps"]):
            reasons = [f"{reason} was not finite in {number}" for reason, number in self._reasons().items()]
            if reasons:
                steps = round(float(logs["skipped_steps"]))
                logging.warning("Epoch %d skipped %d steps: %s.", epoch + 1, steps, ", ".join(reasons))

    def _reasons(self):
        overflows = isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer)
        found = self.model.skipped.reasons()
        return {reason: n for reason, n in found.items() if not overflows or reason.startswith("the loss")}
