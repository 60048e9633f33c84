import keras
import numpy as np
import pytest

import mtl_zoo as mz


@pytest.mark.parametrize("name", ["home", "mtan"])
def test_inference_is_that_of_training_after_few_updates(name):
    keras.utils.set_random_seed(0)
    tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
    model = getattr(mz.architectures, name)(keras.Input((4,)), tasks, mz.encoders.mlp(8, 8))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    x = 5.0 + 3.0 * np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    expected = {task: np.array(y) for task, y in model(x, training=True).items()}
    for _ in range(200):  # 0.9**200 is 7e-10, where Keras' 0.99 leaves 0.13
        model(x, training=True)
    for task, y in model(x).items():
        np.testing.assert_allclose(y, expected[task], rtol=0.02, atol=0.02)
