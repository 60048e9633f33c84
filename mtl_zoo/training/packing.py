"""Logs that leave a compiled step in one tensor, since every tensor that leaves it costs Python's time."""

import tensorflow as tf


class Packed:
    """A step that returns its logs in one vector, if they are scalars, and remembers their names.

    Args:
        step: Function `data -> logs`, a dict.

    Example:

    >>> packed = Packed(lambda data: {"loss": 2.0 * data, "steps": tf.constant(3.0)})
    >>> packed.unpacked(packed(tf.constant(4.0)))
    {'loss': 8.0, 'steps': 3.0}
    """

    def __init__(self, step):
        self.step = step
        self.names = None

    def __call__(self, data):
        """Return the vector, or what else the step returns, of a user's own for instance."""
        logs = self.step(data)
        if not isinstance(logs, dict) or not all(map(_is_scalar, logs.values())):
            return logs
        self.names = list(logs)
        return tf.stack(list(logs.values()))

    def unpacked(self, logs):
        """Return the logs, plain numbers, out of what a call returned."""
        if self.names is None:
            return logs
        return dict(zip(self.names, logs.numpy().tolist(), strict=True))


def _is_scalar(value):
    return tf.is_tensor(value) and value.dtype == tf.float32 and value.shape.rank == 0
