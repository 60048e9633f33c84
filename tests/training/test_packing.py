import keras
import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training.packing import Packed

TASK = mz.Task.regression("price")


class Own(mz.Trainer):
    """Returns something else than scalars."""

    def train_step(self, data):
        return {**super().train_step(data), "vector": tf.ones(2)}


def test_logs_of_any_other_form_pass_as_they_are():
    for logs in ({"loss": tf.ones(2)}, tf.ones(2), {"steps": tf.constant(3)}):
        packed = Packed(lambda data, logs=logs: logs)
        assert packed.unpacked(packed(None)) is logs


def test_one_tensor_leaves_a_step_and_a_step_of_ones_own_is_free():
    x = keras.Input((2,))
    data = np.ones((4, 2), "float32"), {"price": np.ones(4, "float32")}
    logs = []
    for kind in (mz.Trainer, Own):
        keras.utils.set_random_seed(0)
        trainer = kind(keras.Model(x, {"price": keras.layers.Dense(1)(x)}), [TASK])
        trainer.compile("sgd")
        logs.append(trainer.train_on_batch(*data, return_dict=True))
    assert np.array_equal(logs[1].pop("vector"), [1.0, 1.0])
    assert {name: float(x) for name, x in logs[1].items()} == {name: float(x) for name, x in logs[0].items()}
