import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.training import feeds, metric_inputs

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
    refusal = (
        r"of yes or no, and get probabilities. Received: task 'time' of shape \(1,\) with max_label=None"
    )
    with pytest.raises(ValueError, match=refusal):
        mz.metrics.GAUC("user", 2).check_task(mz.Task.regression("time"))


class FirstUserError(keras.metrics.Mean):
    """Mean distance of predictions of the user 0 from labels."""

    input_name = "user"

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels, users = y_true[:, 0], y_true[:, 1]
        weights = np.asarray(users == 0, "float32") * np.asarray(sample_weight)
        super().update_state(abs(labels - y_pred[:, 0]), weights)


def test_a_metric_of_ones_own_gets_the_input_that_it_names():
    tasks, (x, y) = [CLICK, mz.Task.regression("time", metrics=[FirstUserError])], data()
    trainer, predictions = make(tasks), np.zeros((ROWS, 1), "float32")
    task, metrics = trainer.tasks[1], trainer.task_metrics[1]
    inputs = metric_inputs.found(trainer.problem.model, [metrics], x)
    metrics.update_state(task.items(y["time"], predictions), y["time"], inputs=inputs)
    expected = np.abs(y["time"][x["user"] == 0]).mean()
    np.testing.assert_allclose(metrics.results()["time_mean"], expected, rtol=1e-5)


def test_a_metric_with_an_input_is_of_one_label_per_example():
    with pytest.raises(ValueError, match=r"with one label per example. Received: task 'time' .* \(2,\)"):
        feeds.known(mz.Task.regression("time", 2), FirstUserError())
