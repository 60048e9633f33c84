"""How far training is, for layers that change their ways in its course."""

import keras
from keras import ops


class TrainingProgress(keras.callbacks.Callback):
    """Tells every layer that wants to know how far training is, before each step.

    Such a layer has a variable `training_progress`, a scalar, as `layers.Branch` does. It is set to the share
    of the epochs that is done: `(epoch + batch / steps) / epochs`, or that of whole epochs where the number
    of steps is not known. It never falls, so that a second `fit` goes on where the first one ended.
    `Trainer.fit` has this callback already.

    Example:

    >>> tasks = [mz.Task.regression("size"), mz.Task.regression("price")]
    >>> model = mz.architectures.branching(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> model.compile(loss="mse")
    >>> labels = {"size": np.ones(4), "price": np.ones(4)}
    >>> _ = model.fit(np.ones((4, 8)), labels, epochs=4, callbacks=[TrainingProgress()], verbose=0)
    >>> float(model.get_layer("branch_1").training_progress)
    0.75
    """

    def on_train_begin(self, logs=None):
        """Find the layers."""
        layers = self.model._flatten_layers()
        self.variables = [x.training_progress for x in layers if hasattr(x, "training_progress")]

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the epoch."""
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        """Set the variables."""
        share = (self.epoch + batch / (self.params["steps"] or float("inf"))) / self.params["epochs"]
        for variable in self.variables:
            variable.assign(ops.maximum(variable, share))
