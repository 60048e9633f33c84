"""Adagrad at the cost of the rows that a batch touches."""

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo import table_rows


@keras.saving.register_keras_serializable("mtl_zoo")
class SparseAdagrad(keras.optimizers.Adagrad):
    """Adagrad that reads and writes those rows of an embedding alone that have a gradient.

    Its steps are those of `keras.optimizers.Adagrad` on the dense gradient, which computes all rows though
    only these change. Where the gradient is dense it is Keras'. Use it with `mz.layers.Embedding`, since
    Keras' own layer has all rows copied.

    The gradients of one row are summed before clipping (`clipnorm`, `clipvalue`, `global_clipnorm`) and
    squaring, which Keras leaves to the caller. What is about all rows is dense as in Keras, and costs what
    all rows cost: `weight_decay`, `use_ema`, `gradient_accumulation_steps`, constraints and regularizers of
    the embedding, and the search for numbers that are not finite in `keras.optimizers.LossScaleOptimizer`.

    Args:
        learning_rate: Number, schedule or callable. Defaults to 0.001.
        initial_accumulator_value: Sum of squares to start from, at least 0. Defaults to 0.1.
        epsilon: Added to the sum of squares, under the root. Defaults to 1e-7.
        **kwargs: As for `keras.optimizers.Adagrad`; `loss_scale_factor` must be `None`.

    Raises:
        ValueError: When it is built, if it has a `loss_scale_factor`.

    Example:

    >>> table = keras.Variable(np.ones((1000, 2), "float32"))
    >>> optimizer = SparseAdagrad(0.1, initial_accumulator_value=0.0)
    >>> gradient = tf.IndexedSlices(tf.constant([[2.0, -3.0]]), tf.constant([7]), tf.constant([1000, 2]))
    >>> optimizer.apply([gradient], [table])
    >>> table.numpy()[6:8].round(3).tolist()
    [[1.0, 1.0], [0.8999999761581421, 1.100000023841858]]

    Reference:
        [Duchi et al., 2011](https://jmlr.org/papers/v12/duchi11a.html)
    """

    def build(self, var_list):
        """Create an accumulator for every variable."""
        table_rows.check(self)
        super().build(var_list)

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable; of an embedding the rows that have a gradient."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        gradient = table_rows.without_duplicates(tf.cast(gradient, variable.dtype))
        accumulator = self._accumulators[self._get_variable_index(variable)]
        squares = table_rows.read(accumulator, gradient.indices) + tf.square(gradient.values)
        table_rows.write(accumulator, gradient.indices, squares)
        change = ops.cast(learning_rate, variable.dtype) * gradient.values / tf.sqrt(squares + self.epsilon)
        table_rows.subtract(variable, gradient.indices, change)

    def _clip_gradients(self, grads):
        return table_rows.clipped(self, grads, super()._clip_gradients)
