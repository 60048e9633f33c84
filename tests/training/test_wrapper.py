import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo import exporting

TASKS = [mz.Task.classification("kind", 3), mz.Task.regression("size")]
X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")


def make_model():
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dense(3, name="hidden")(x)
    return keras.Model(x, {"kind": keras.layers.Dense(3)(hidden), "size": keras.layers.Dense(1)(hidden)})


@pytest.fixture(scope="module")
def trainer():
    trainer = mz.Trainer(make_model(), TASKS, aggregator=mz.aggregators.PCGrad())
    trainer.compile("sgd", run_eagerly=True)
    return trainer


def test_the_summary_is_that_of_the_wrapped_model(trainer):
    def lines(model, **options):
        found = []
        model.summary(print_fn=found.append, **options)
        return found

    for options in ({}, {"line_length": 60, "show_trainable": True, "layer_range": ["hidden", "hidden"]}):
        assert lines(trainer, **options) == lines(trainer.model, **options)


def test_export_is_that_of_the_wrapped_model(trainer, tmp_path):
    trainer.export(tmp_path / "1", class_names={"kind": ["a", "b", "c"]})
    found = tf.saved_model.load(tmp_path / "1").signatures["serving_default"](x=tf.constant(X))
    expected = trainer.predict(X, verbose=0)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-6)
    assert "kind_class_name" in found
    with pytest.raises(ValueError, match=r"`format` must be one of .* Received: format='keras'"):
        trainer.export(tmp_path / "2", format="keras")


@pytest.mark.parametrize(
    "export",
    [exporting.saved_model, exporting.litert, exporting.onnx],
)
def test_functions_that_want_the_model_say_where_it_is(trainer, export, tmp_path):
    with pytest.raises(ValueError, match=r"Received: Trainer, which stands .* as in `trainer.model`"):
        export(trainer, TASKS, tmp_path / "1")


def test_weights_of_the_model_alone_are_refused(trainer, tmp_path):
    make_model().save_weights(tmp_path / "bare.weights.h5")
    before = trainer.model.get_weights()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"`trainer.model.load_weights` loads those of a model alone"):
            trainer.load_weights(tmp_path / "bare.weights.h5")
    for one, other in zip(before, trainer.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["loss", "metrics", "loss_weights", "weighted_metrics"])
def test_compile_says_where_losses_and_metrics_belong(trainer, name):
    with pytest.raises(ValueError, match=rf"from_compiled.* Received: {name} in `compile`"):
        trainer.compile("adam", **{name: ["mse"]})
    with pytest.raises(ValueError, match="Received: loss in `compile`"):
        trainer.compile("adam", "mse")


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"needs Keras on TensorFlow.* Received: jax"):
        mz.Trainer(None, TASKS)
