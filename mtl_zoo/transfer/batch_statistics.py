"""The means and variances that batch normalization keeps, found anew."""

import keras
import tensorflow as tf


def check_dataset(name, data):
    """Raise an error unless an argument is a `tf.data.Dataset`."""
    if not isinstance(data, tf.data.Dataset):
        raise ValueError(f"`{name}` must be a `tf.data.Dataset`. Received: {name}={data!r}")


def estimate(model, data):
    """Replace the statistics of all batch normalization in a model by their means over batches.

    The model runs as in training, dropout included; nothing else of it changes. Layers with
    `trainable=False` keep their statistics, as in Keras.

    Args:
        model: Built `keras.Model`.
        data: `tf.data.Dataset` of batches, of inputs or of `(inputs, labels)`.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    >>> estimate(model, tf.data.Dataset.from_tensor_slices([[1.0], [3.0], [5.0], [7.0]]).batch(2))
    >>> [float(x[0]) for x in model.layers[0].non_trainable_weights]  # means 2 and 6, variances 1 and 1
    [4.0, 1.0]
    """
    found = [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in found]
    statistics = {id(x) for layer in found for x in (layer.moving_mean, layer.moving_variance)}
    before = [(x, keras.ops.copy(x.value)) for x in model.variables if id(x) not in statistics]
    for index, batch in enumerate(data if found else ()):
        for layer in found:
            layer.momentum = index / (index + 1)  # the mean of all batches so far
        model(keras.utils.unpack_x_y_sample_weight(batch)[0], training=True)
    for layer, momentum in zip(found, momenta, strict=True):
        layer.momentum = momentum
    for variable, value in before:
        variable.assign(value)
