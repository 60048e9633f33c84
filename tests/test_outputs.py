"""Outputs of any Keras model, as logits by the names of tasks."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo import outputs

LAYERS = keras.layers
TASKS = (mz.Task.classification("kind", 3), mz.Task.binary("flag"), mz.Task.regression("age"))
X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = {"kind": np.array([0, 1, 2, 0, 1, 2]), "flag": np.array([0, 1, 0, 1, 1, 0]), "age": np.ones(6)}


def heads(x, probabilities=False):
    ends = ("softmax", "sigmoid") if probabilities else (None, None)
    return {
        "kind": LAYERS.Dense(3, activation=ends[0], name="kind")(x),
        "flag": LAYERS.Dense(1, activation=ends[1], name="flag")(x),
        "age": LAYERS.Dense(1, name="age")(x),
    }


def functional(probabilities=False, structure=dict):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    found = heads(LAYERS.Dense(5, activation="tanh")(inputs), probabilities)
    return keras.Model(inputs, found if structure is dict else list(found.values()))


class Subclassed(keras.Model):
    """Layers without a graph."""

    def __init__(self, structure=dict):
        super().__init__()
        self.trunk = LAYERS.Dense(5, activation="tanh")
        self.ends = [LAYERS.Dense(size) for size in (3, 1, 1)]
        self.structure = structure

    def call(self, inputs, training=None):
        x = self.trunk(inputs)
        found = [end(x) for end in self.ends]
        return dict(zip(("kind", "flag", "age"), found, strict=True)) if self.structure is dict else found


def test_a_model_with_logits_by_task_is_taken_as_it_is():
    model = functional()
    assert outputs.by_task(model, TASKS) is model
    assert outputs.by_task(model, TASKS[:1]) is model


ENDS = {
    "activation of a layer": lambda x, name: LAYERS.Dense(3, activation=name)(x),
    "layer of its own": lambda x, name: LAYERS.Activation(name)(LAYERS.Dense(3)(x)),
    "operation": lambda x, name: getattr(keras.ops, name)(LAYERS.Dense(3)(x)),
    "function": lambda x, name: getattr(keras.activations, name)(LAYERS.Dense(3)(x)),
    "in float32": lambda x, name: LAYERS.Activation(name, dtype="float32")(
        LAYERS.Dense(3, dtype="float16")(x)
    ),
    "inner model": lambda x, name: keras.Sequential([keras.Input((4,)), LAYERS.Dense(3, activation=name)])(x),
}


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_logits_before_an_activation(end, name):
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, {"t": end(inputs, name)})
    task = mz.Task.classification("t", 3) if name == "softmax" else mz.Task.multilabel("t", 3)
    logits = outputs.by_task(model, [task])
    found = tf.function(logits)(X)["t"]
    assert np.min(found) < 0
    np.testing.assert_allclose(task.activation(found), model(X)["t"], rtol=2e-3)


@pytest.mark.parametrize("structure", [dict, list])
def test_probabilities_are_trained_measured_and_answered_as_logits_are(structure):
    """Not 0.51 instead of 0.84: nothing is activated twice."""
    found = []
    for model in (functional(), functional(True, structure)):
        trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.MGDA(), space="representation")
        trainer.compile(keras.optimizers.SGD(0.1))
        history = trainer.fit(X, Y, epochs=2, verbose=0).history
        answers = trainer.predict(X, verbose=0)
        answers = answers if isinstance(answers, dict) else dict(zip(Y, answers, strict=True))
        found.append({**history, **answers, **trainer.evaluate(X, Y, verbose=0, return_dict=True)})
    for name, expected in found[0].items():
        np.testing.assert_allclose(found[1][name], expected, rtol=1e-4, atol=1e-6, err_msg=name)


def test_probabilities_are_exported_as_they_are(tmp_path):
    model = functional(True)
    mz.exporting.saved_model(model, TASKS, tmp_path / "1")
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](x=tf.constant(X))
    for name, expected in model(X).items():
        np.testing.assert_allclose(served[name], expected, rtol=1e-5)
    model.save(tmp_path / "after.keras")  # what was cut can still be saved
    again = keras.models.load_model(tmp_path / "after.keras")
    np.testing.assert_allclose(again(X)["kind"], model(X)["kind"], rtol=1e-6)


def test_outputs_by_other_names_and_places():
    model = functional(structure=list)
    tasks = [
        dataclasses.replace(mz.Task.binary("bought"), output="flag"),
        dataclasses.replace(mz.Task.classification("colour", 3), output=0),
        mz.Task.regression("age"),
    ]
    trainer = mz.Trainer(model, tasks)
    trainer.compile("sgd")
    trainer.fit(X, {"bought": Y["flag"], "colour": Y["kind"], "age": Y["age"]}, verbose=0)
    kind, flag, age = trainer.predict(X, verbose=0)
    expected = model(X)
    np.testing.assert_allclose(kind, keras.ops.softmax(expected[0]), rtol=1e-5)
    np.testing.assert_allclose(flag, keras.ops.sigmoid(expected[1]), rtol=1e-5)
    np.testing.assert_allclose(age, expected[2], rtol=1e-5)


def test_one_output_needs_no_name():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), LAYERS.Dense(1, activation="sigmoid")])
    trainer = mz.Trainer(model, [TASKS[1]])
    trainer.compile("sgd")
    trainer.fit(X, Y["flag"], verbose=0)
    np.testing.assert_allclose(trainer.predict(X, verbose=0), model(X), rtol=1e-5)


@pytest.mark.parametrize("structure", [dict, list])
@pytest.mark.parametrize("method", [None, mz.aggregators.MGDA])
def test_a_subclassed_model_trains_as_a_functional_one(structure, method):
    tasks = TASKS if structure is dict else [dataclasses.replace(t, output=i) for i, t in enumerate(TASKS)]
    subclassed, expected = Subclassed(structure), functional()
    subclassed(X)
    layers = [expected.layers[1], *map(expected.get_layer, ("kind", "flag", "age"))]
    for one, other in zip([subclassed.trunk, *subclassed.ends], layers, strict=True):
        one.set_weights(other.get_weights())
    for model in (subclassed, expected):
        own = tasks if model is subclassed else TASKS
        trainer = mz.Trainer(model, own, aggregator=method and method())
        trainer.compile(keras.optimizers.SGD(0.1))
        trainer.fit(X, Y, batch_size=3, shuffle=False, verbose=0)
    for one, other in zip([subclassed.trunk, *subclassed.ends], layers, strict=True):
        for found, weights in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(found, weights, rtol=1e-4, atol=1e-6)
    answers = trainer.predict(X, verbose=0)
    assert set(answers) == set(Y)


def test_what_a_subclassed_model_cannot():
    model = Subclassed()
    model(X)
    with pytest.raises(ValueError, match="functional"):
        mz.Trainer(model, TASKS, aggregator=mz.aggregators.MGDA(), space="representation")
    with pytest.raises(ValueError, match="functional"):
        mz.Trainer(model, TASKS, aggregator=mz.aggregators.MoCo())
    trainer = mz.Trainer(model, [mz.Task.binary("kind")])
    trainer.compile("sgd")
    with pytest.raises(
        ValueError, match=r"output of task 'kind' must have shape \(None, 1\). Received: .*3\)"
    ):
        trainer.fit(X, {"kind": Y["flag"]}, verbose=0)


def test_an_output_that_no_logits_are_kept_of():
    with pytest.raises(ValueError, match="last operation of a model's output must be the softmax or sigmoid"):
        outputs.Logits()(tf.reshape(keras.activations.softmax(tf.ones((2, 3))), (3, 2)))


def test_a_sequential_model_with_a_call_of_its_own_is_no_graph():
    class Doubled(keras.Sequential):
        def call(self, inputs, training=None, mask=None):
            return 2.0 * super().call(inputs, training=training, mask=mask)

    model = Doubled([keras.Input((4,)), LAYERS.Dense(1)])
    assert outputs.graph_of(model) is None
    trainer = mz.Trainer(model, [TASKS[2]])
    np.testing.assert_allclose(trainer.predict(X, verbose=0), model(X), rtol=1e-5)


def test_a_penalty_between_towers_stays_where_outputs_get_other_names():
    tasks = [mz.Task.binary("a"), mz.Task.binary("b")]
    model = mz.architectures.soft_sharing(keras.Input((4,)), tasks, mz.encoders.mlp(3))
    others = [dataclasses.replace(task, name=f"{task.name}_again", output=task.name) for task in tasks]
    view = outputs.by_task(model, others)
    assert list(view.output) == ["a_again", "b_again"]
    assert [float(x) for x in view.losses] == [float(x) for x in model.losses]
    assert float(view.losses[0]) > 0
    assert len(view.trainable_variables) == len(model.trainable_variables)
