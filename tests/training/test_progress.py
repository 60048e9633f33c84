import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
LABELS = {"a": X[:, 0], "b": X[:, 1]}


class Record(keras.callbacks.Callback):
    """Keeps what a branch knows at the end of every step."""

    def on_train_begin(self, logs=None):
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(float(branch_of(self.model).training_progress))


def branch_of(model):
    return next(layer for layer in model._flatten_layers() if layer.name == "branch_1")


def trainer(**arguments):
    model = mz.architectures.branching(keras.Input((3,)), TASKS, mz.encoders.mlp(4))
    result = mz.Trainer(model, TASKS, **arguments)
    result.compile("sgd")
    return result


def progress(model, *callbacks, x=X, y=LABELS, **arguments):
    record = Record()
    model.fit(x, y, callbacks=[*callbacks, record], verbose=0, **arguments)
    return record.found


@pytest.mark.parametrize("arguments", [{}, {"balancer": mz.balancers.FAMO()}, {"accumulate": 2}])
def test_branches_know_the_share_of_the_epochs_before_each_step(arguments):
    """Also where a method looks at a batch twice, or an update has several portions."""
    batch_size = 2 // arguments.get("accumulate", 1)
    found = progress(trainer(**arguments), batch_size=batch_size, epochs=2)
    np.testing.assert_allclose(found, np.arange(8) / 8, rtol=1e-6)


def test_training_goes_on_where_it_was():
    model = trainer()
    found = progress(model, batch_size=4, epochs=4, initial_epoch=2)
    np.testing.assert_allclose(found, [4 / 8, 5 / 8, 6 / 8, 7 / 8], rtol=1e-6)
    np.testing.assert_allclose(progress(model, batch_size=4), [7 / 8, 7 / 8], rtol=1e-6)  # never back


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras says so at every such end
def test_steps_that_are_not_known_count_by_epochs():
    def batches():
        for index in (0, 4):
            yield X[index : index + 4], {name: y[index : index + 4] for name, y in LABELS.items()}

    spec = (tf.TensorSpec((4, 3)), {name: tf.TensorSpec((4,)) for name in LABELS})
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    np.testing.assert_allclose(progress(trainer(), x=data, y=None, epochs=2), [0, 0, 0.5, 0.5])


def test_keras_alone_needs_the_callback():
    model = trainer().model
    model.compile("sgd", loss="mse")
    assert progress(model, batch_size=4, epochs=1) == [-1, -1]
    assert progress(model, mz.callbacks.TrainingProgress(), batch_size=4, epochs=1) == [0, 0.5]
