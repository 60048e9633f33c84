import json

import keras
import numpy as np

import mtl_zoo as mz

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
LABELS = {"click": np.array([0, 1, 1, 0, -1, 0, 0, 0]), "price": X[:, :1]}


def test_a_trainer_comes_back_as_it_was():
    tasks = [mz.Task.binary("click", class_weight="balanced"), mz.Task.regression("price", loss="mae")]
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    trainer = mz.Trainer(
        model, tasks, mz.balancers.Static([1, 2]), mz.aggregators.CAGrad(c=0.3), accumulate=2
    )
    trainer.compile(keras.optimizers.SGD(0.05), steps_per_execution=2)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(trainer)))
    again = keras.saving.deserialize_keras_object(config)
    assert json.dumps(again.get_config()) == json.dumps(trainer.get_config())
    assert again.get_compile_config() == trainer.get_compile_config()
    again.model.set_weights(trainer.model.get_weights())
    histories = [t.fit(X, LABELS, batch_size=2, shuffle=False, verbose=0).history for t in (trainer, again)]
    assert histories[0].keys() == histories[1].keys()
    np.testing.assert_allclose(*[list(history.values()) for history in histories], rtol=1e-6)
    np.testing.assert_allclose(*[t.predict(X, verbose=0)["price"] for t in (trainer, again)], rtol=1e-6)


def test_a_trainer_that_is_not_compiled_comes_back():
    tasks = [mz.Task.binary("click")]
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    trainer = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(mz.Trainer(model, tasks))
    )
    assert not trainer.compiled
    assert trainer.balancer is None
    assert trainer.space == "shared"
