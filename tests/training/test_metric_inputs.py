import keras
import numpy as np
import pytest

import mtl_zoo as mz

USERS, ROWS = 6, 64
CLICK = mz.Task.binary("click", metrics=[mz.metrics.GAUC("user", USERS, num_bins=20_000)])
TASKS = [CLICK, mz.Task.regression("time", metrics=[])]


def make(tasks=TASKS, dtype="int32", shape=(1,)):
    """Return a trainer of a model with a user and two numbers as inputs."""
    keras.utils.set_random_seed(0)
    user, numbers = keras.Input(shape, dtype=dtype, name="user"), keras.Input((2,), name="numbers")
    x = keras.layers.Flatten()(keras.layers.Embedding(USERS, 3)(user)) if dtype != "string" else numbers
    x = keras.layers.Concatenate()([x, numbers])
    outputs = {task.name: keras.layers.Dense(1, name=task.name)(x) for task in tasks}
    return mz.Trainer(keras.Model({"user": user, "numbers": numbers}, outputs), tasks, accumulate=2)


def data():
    random = np.random.default_rng(0)
    x = {"user": random.integers(0, USERS, (ROWS, 1)), "numbers": random.normal(size=(ROWS, 2))}
    x["numbers"] = x["numbers"].astype("float32")
    return x, {"click": random.integers(-1, 2, ROWS), "time": random.normal(size=(ROWS, 1))}


def test_groups_come_from_an_input_in_training_and_evaluation():
    trainer, (x, y) = make(), data()
    trainer.compile(keras.optimizers.SGD(0.0))
    trained = trainer.fit(x, y, batch_size=16, verbose=0, shuffle=False).history["click_gauc"][0]
    measured = trainer.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)["click_gauc"]
    logits = trainer.predict(x, verbose=0)["click"]
    expected = mz.evaluation.gauc(y["click"], logits, x["user"])
    np.testing.assert_allclose([trained, measured], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "given", "received"),
    [
        (
            "item",
            {},
            r"input 'item' of the model.* Received: \['numbers', 'user'\]",
        ),
        ("user", {"dtype": "string"}, r"Received: string of shape \(None, 1\)"),
        ("user", {"shape": (2,)}, r"Received: int32 of shape \(None, 2\)"),
    ],
)
def test_an_input_must_be_one_number_per_example(name, given, received):
    with pytest.raises(ValueError, match=received):
        make([mz.Task.binary("click", metrics=[mz.metrics.GAUC(name, 2)])], **given)


def test_a_task_must_be_of_yes_or_no():
    metric = mz.metrics.GAUC("user", 2)
    with pytest.raises(ValueError, match=r"must be of a task of yes or no, and get probabilities. Received"):
        make([mz.Task.regression("time", metrics=[metric])])
