import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.transfer.batch_statistics import estimate


def model():
    inputs = keras.Input((3,))
    x = keras.layers.BatchNormalization(momentum=0.7, name="norm")(keras.layers.Dropout(0.5)(inputs))
    inner = keras.Sequential([keras.layers.BatchNormalization(name="inner")])
    frozen = keras.layers.BatchNormalization(name="frozen", trainable=False)
    return keras.Model(inputs, {"x": inner(inputs), "y": frozen(x)})


def test_means_of_batches_in_nested_models_and_nothing_else_changes():
    found, x = model(), np.random.default_rng(0).uniform(size=(8, 3)).astype("float32")
    seeds = [np.array(v) for v in found.non_trainable_variables if v.dtype != "float32"]
    estimate(found, tf.data.Dataset.from_tensor_slices((x, x)).batch(4))
    gamma, beta, mean, variance = next(y for y in found.layers if "sequential" in y.name).get_weights()
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, (x[:4].var(axis=0) + x[4:].var(axis=0)) / 2, rtol=1e-4)
    assert np.all(gamma == 1)
    assert np.all(beta == 0)
    assert found.get_layer("norm").momentum == 0.7
    assert np.all(found.get_layer("norm").moving_mean != 0)
    assert np.all(np.array(found.get_layer("frozen").moving_mean) == 0)
    after = [np.array(v) for v in found.non_trainable_variables if v.dtype != "float32"]
    assert len(seeds) == 1
    np.testing.assert_array_equal(seeds, after)  # of the dropout
