"""Adam at the cost of the rows that a batch touches."""

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo import table_rows


@keras.saving.register_keras_serializable("mtl_zoo")
class LazyAdam(keras.optimizers.Adam):
    """Adam that reads and writes those rows of an embedding alone that have a gradient.

    A row that is not in the batch keeps its weights and its moments, where `keras.optimizers.Adam` lets the
    moments decay and moves the row on by what is left of them. So a rare row's moments are averages over the
    batches that it was in; the bias correction counts all steps. Where the gradient is dense, and for a row
    of every batch, it is Keras' Adam, `amsgrad` included. Use it with `mz.layers.Embedding`, since Keras'
    own layer has all rows copied.

    The gradients of one row are summed before clipping (`clipnorm`, `clipvalue`, `global_clipnorm`) and
    squaring, which Keras leaves to the caller. What is about all rows is dense as in Keras, changes rows
    that are not in the batch too, and costs what all rows cost: `weight_decay`, `use_ema`, constraints and
    regularizers of the embedding, and the search for numbers that are not finite in
    `keras.optimizers.LossScaleOptimizer`.

    Args:
        learning_rate: Number, schedule or callable. Defaults to 0.001.
        beta_1: Decay rate of the first moments. Defaults to 0.9.
        beta_2: Decay rate of the second moments. Defaults to 0.999.
        epsilon: Added to the root of the second moments. Defaults to 1e-7.
        amsgrad: Whether to divide by the largest second moments so far. Defaults to `False`.
        **kwargs: As for `keras.optimizers.Adam`; `loss_scale_factor` and `gradient_accumulation_steps` must
            be `None`.

    Raises:
        ValueError: When it is built, if it has a `loss_scale_factor`, or `gradient_accumulation_steps`, which
            make all gradients dense.

    Example:

    >>> table = keras.Variable(np.ones((1000, 2), "float32"))
    >>> gradient = tf.IndexedSlices(tf.constant([[2.0, -3.0]]), tf.constant([7]), tf.constant([1000, 2]))
    >>> LazyAdam(0.1).apply([gradient], [table])
    >>> table.numpy()[6:8].round(3).tolist()
    [[1.0, 1.0], [0.8999999761581421, 1.100000023841858]]

    Reference:
        [Kingma & Ba, 2015](https://arxiv.org/abs/1412.6980); lazy as `LazyAdam` of
        [TensorFlow Addons](https://www.tensorflow.org/addons/api_docs/python/tfa/optimizers/LazyAdam)
    """

    def build(self, var_list):
        """Create the moments of every variable."""
        table_rows.check(self)
        if self.gradient_accumulation_steps:
            raise ValueError(
                "`gradient_accumulation_steps` of LazyAdam must be `None`, since Keras adds up dense "
                "gradients, in which no row is left out: let `Trainer(accumulate=...)` join batches. "
                f"Received: gradient_accumulation_steps={self.gradient_accumulation_steps}"
            )
        super().build(var_list)

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable; of an embedding the rows that have a gradient."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        gradient = table_rows.without_duplicates(tf.cast(gradient, variable.dtype))
        index = self._get_variable_index(variable)
        first = _averaged(self._momentums[index], gradient.indices, gradient.values, self.beta_1)
        second = _averaged(self._velocities[index], gradient.indices, tf.square(gradient.values), self.beta_2)
        if self.amsgrad:
            second = _raised(self._velocity_hats[index], gradient.indices, second)
        rate = self._corrected(ops.cast(learning_rate, variable.dtype))
        table_rows.subtract(variable, gradient.indices, first * rate / (tf.sqrt(second) + self.epsilon))

    def _corrected(self, learning_rate):
        """Return the learning rate with the bias correction of both moments."""
        step = ops.cast(self.iterations + 1, learning_rate.dtype)
        first, second = (tf.pow(tf.cast(x, learning_rate.dtype), step) for x in (self.beta_1, self.beta_2))
        return learning_rate * tf.sqrt(1 - second) / (1 - first)

    def _clip_gradients(self, grads):
        return table_rows.clipped(self, grads, super()._clip_gradients)


def _averaged(moments, indices, values, decay):
    """Move rows of the moments towards values, and return them."""
    before = table_rows.read(moments, indices)
    after = before + (values - before) * (1 - decay)
    table_rows.write(moments, indices, after)
    return after


def _raised(largest, indices, values):
    """Raise rows of the largest values so far, and return them."""
    after = tf.maximum(table_rows.read(largest, indices), values)
    table_rows.write(largest, indices, after)
    return after
