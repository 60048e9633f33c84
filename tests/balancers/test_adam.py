import keras
import numpy as np

from mtl_zoo.balancers import _adam


def test_steps_are_those_of_keras():
    layer = keras.layers.Layer()
    ours, theirs = (keras.Variable([1.0, -2.0, 0.5]) for _ in range(2))
    moments = _adam.moments(layer, (3,))
    optimizer = keras.optimizers.Adam(0.1, epsilon=1e-8)
    for gradient in np.random.default_rng(0).normal(size=(5, 3)).astype("float32"):
        _adam.descend(ours, moments, gradient, np.ones(3, "float32"), 0.1)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [theirs])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert len(layer.variables) == 3


def test_absent_tasks_keep_number_and_moments():
    layer = keras.layers.Layer()
    some, alone = keras.Variable([1.0, 1.0]), keras.Variable([1.0, 1.0])
    first, second = (_adam.moments(layer, (2,)) for _ in range(2))
    for present in ([1.0, 1.0], [1.0, 0.0], [1.0, 1.0]):
        _adam.descend(some, first, np.array([1.0, 2.0], "float32"), np.array(present, "float32"), 0.1)
    for _ in range(2):
        _adam.descend(alone, second, np.array([1.0, 2.0], "float32"), np.ones(2, "float32"), 0.1)
    np.testing.assert_array_equal(np.array(some)[1], np.array(alone)[1])
    np.testing.assert_array_equal([v[1] for v in first], [v[1] for v in second])
