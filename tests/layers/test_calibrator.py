import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.layers import Calibrator

EARLIER = np.array([[0.0], [0.0], [np.log(3)]], "float32")  # probabilities 1/2, 1/2, 3/4
LATER = np.array([[np.log(3)], [-1.0], [np.log(4)]], "float32")  # 3/4, less than 1/2, 4/5
PENALTY = (0.25 + 0 + 0.05) / 3


def test_values_by_hand():
    layer = Calibrator(strength=0.5)
    np.testing.assert_array_equal(layer([EARLIER, LATER]), LATER)
    np.testing.assert_allclose(layer.losses, [0.5 * PENALTY], rtol=1e-5)
    np.testing.assert_allclose(Calibrator.from_config(layer.get_config()).strength, 0.5)


def test_the_default_strength_is_the_papers():
    layer = Calibrator()
    layer([EARLIER, LATER])
    np.testing.assert_allclose(layer.losses, [0.6 * PENALTY], rtol=1e-5)


def test_gradients_pull_the_two_together_where_the_order_is_wrong():
    # The derivative of a sigmoid is p (1 - p); it is pushed up for the earlier, down for the later event.
    earlier, later = tf.Variable(EARLIER), tf.Variable(LATER)
    layer = Calibrator(strength=1.0)
    with tf.GradientTape() as tape:
        layer([earlier, later])
        loss = layer.losses[0]
    up, down = tape.gradient(loss, [earlier, later])
    np.testing.assert_allclose(up, -np.array([[1 / 4], [0], [3 / 16]]) / 3, rtol=1e-5)
    np.testing.assert_allclose(down, np.array([[3 / 16], [0], [4 / 25]]) / 3, rtol=1e-5)


def test_the_penalty_is_the_same_in_training_in_a_graph_and_after_loading(tmp_path):
    inputs = [keras.Input((1,), name="a"), keras.Input((1,), name="b")]
    model = keras.Model(inputs, Calibrator()(inputs))
    model.save(tmp_path / "model.keras")
    for network in (model, keras.models.load_model(tmp_path / "model.keras")):
        for training in (True, False):
            network([EARLIER, LATER], training=training)
            np.testing.assert_allclose(network.losses, [0.6 * PENALTY], rtol=1e-5)

    @tf.function(jit_compile=True)
    def compiled():
        model([EARLIER, LATER], training=True)
        return model.losses[0]

    np.testing.assert_allclose(compiled(), 0.6 * PENALTY, rtol=1e-5)
