"""Metrics that start anew at the price of few calls."""

import tensorflow as tf

PLAIN = ("keras", "mtl_zoo")  # packages whose metrics do nothing at a reset but give variables first values


class Resetter:
    """Resets metrics; those of Keras and of this library remember what that makes of their variables.

    Keras' own way to assign costs several times what TensorFlow needs.

    Args:
        metrics: List of `keras.metrics.Metric`.
        strategy: `tf.distribute.Strategy`; with several replicas every metric is reset as Keras does it.

    Example:

    >>> mean = keras.metrics.Mean()
    >>> reset = Resetter([mean], tf.distribute.get_strategy())
    >>> reset()
    >>> mean.update_state(3.0)
    >>> reset()
    >>> float(mean.result())
    0.0
    """

    def __init__(self, metrics, strategy):
        one = strategy.num_replicas_in_sync == 1
        self.metrics = [(m, one and type(m).__module__.partition(".")[0] in PLAIN) for m in metrics]
        self._first = {}

    def __call__(self):
        for metric, is_plain in self.metrics:
            variables = metric.variables if is_plain else []
            first = self._first.get(id(metric), [])
            if not variables or len(first) != len(variables):  # some make variables at their first batch
                metric.reset_state()
                self._first[id(metric)] = [tf.identity(variable.value) for variable in variables]
                continue
            for variable, value in zip(variables, first, strict=True):
                variable.value.assign(value, read_value=False)
