"""What `fit` adds to the callbacks that it gets."""

import contextlib

import keras

from mtl_zoo.training.non_finite import NonFinite
from mtl_zoo.training.progress import TrainingProgress
from mtl_zoo.training.unmeasured import Unmeasured


def with_own(callbacks, balancer=None):
    """Return callbacks after those of every training.

    The balancer's `on_epoch_end` comes before all others, so that checkpoints hold its result.

    Args:
        callbacks: Callbacks, nested or not, or `None`. A `keras.callbacks.CallbackList` is returned as it is.
        balancer: `Balancer`. Defaults to `None`.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    own = [NonFinite(), TrainingProgress(), Unmeasured(callbacks)]
    if balancer is not None:
        own.append(keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: balancer.on_epoch_end()))
    return [*own, *keras.tree.flatten(callbacks or [])]


@contextlib.contextmanager
def sessions(callbacks):
    """Enter the context `session` of the callbacks that have one: `Resume`."""
    with contextlib.ExitStack() as stack:
        for callback in [] if isinstance(callbacks, keras.callbacks.CallbackList) else list(callbacks):
            if hasattr(callback, "session"):
                stack.enter_context(callback.session(callbacks))
        yield
