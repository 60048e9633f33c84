import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.balancers import Static
from tests.harness import check_balancer, value_and_gradient


def test_contract():
    check_balancer(lambda: Static([0.5, 1.0, 2.0]), drops_absent=False)


def test_weights_the_losses():
    value, gradient = value_and_gradient(Static([0.5, 3]), [4.0, 1.0])
    assert value == 5.0
    np.testing.assert_array_equal(gradient, [0.5, 3.0])


def test_weights_may_change_in_a_compiled_step_and_are_saved():
    balancer = Static([1.0, 3.0])
    balancer.build((2,))
    step = tf.function(lambda losses: balancer(losses), jit_compile=True)
    assert float(step(tf.constant([1.0, 2.0]))) == 7
    balancer.task_weights.assign([0.5, 0.0])
    assert float(step(tf.constant([1.0, 2.0]))) == 0.5
    assert balancer.trainable_variables == []
    copy = Static.from_config(balancer.get_config())
    copy.build((2,))
    np.testing.assert_array_equal(copy.task_weights, [1.0, 3.0])
    copy.set_weights(balancer.get_weights())
    np.testing.assert_array_equal(copy.task_weights, [0.5, 0.0])


def test_weights_may_change_while_training(tmp_path):
    class Change(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.balancer.task_weights.assign([[1.0, 2.0], [0.25, 0.0]][epoch])

    def trainer():
        tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
        model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
        result = mz.Trainer(model, tasks, balancer=Static([1.0, 1.0]))
        result.compile("sgd")
        return result

    one, x = trainer(), np.ones((4, 3))
    logs = one.fit(x, {"a": x[:, 0], "b": x[:, 1]}, epochs=2, callbacks=[Change()], verbose=0).history
    assert (logs["a_weight"], logs["b_weight"]) == ([1.0, 0.25], [2.0, 0.0])
    one.save_weights(tmp_path / "state.weights.h5")
    other = trainer()
    other.load_weights(tmp_path / "state.weights.h5")
    np.testing.assert_array_equal(other.balancer.task_weights, [0.25, 0.0])


def test_weights_must_not_be_negative():
    with pytest.raises(ValueError, match=r"finite numbers of at least 0. Received: weights=\[1, -1\]"):
        Static([1, -1])


def test_weights_must_not_be_nan():
    with pytest.raises(ValueError, match="weights"):
        Static([1, float("nan")])


def test_every_task_must_have_a_weight():
    with pytest.raises(ValueError, match=r"one number per task, 3. Received: \[1.0, 2.0\]"):
        Static([1, 2])(np.ones(3))


def trainer_with(balancer):
    tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    return mz.Trainer(model, tasks, balancer=balancer)


def test_weights_by_name_are_in_the_order_of_the_tasks():
    balancer = trainer_with(Static({"b": 0.5, "a": 2})).balancer
    np.testing.assert_array_equal(balancer.task_weights, [2.0, 0.5])
    copy = Static.from_config(balancer.get_config())
    copy.build((2,))
    np.testing.assert_array_equal(copy.task_weights, [2.0, 0.5])
    assert Static.from_config(Static({"b": 0.5, "a": 2}).get_config()).names == ["b", "a"]


@pytest.mark.parametrize("weights", [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}])
def test_every_name_must_be_that_of_a_task(weights):
    with pytest.raises(
        ValueError, match=r"for each of the tasks \['a', 'b'\] and no other. Received weights for"
    ):
        trainer_with(Static(weights))


def test_weights_by_name_need_the_names():
    with pytest.raises(
        ValueError, match=r"`weights` by name must be given to a `Trainer`. Received: \['a'\]"
    ):
        Static({"a": 1.0})(np.ones(1))


@pytest.mark.parametrize("weights", [1, 0.5, "kind"])
def test_one_number_is_not_enough(weights):
    with pytest.raises(
        ValueError, match=r"must hold one non-negative number per task, as in \[1.0, 0.5\] or {"
    ):
        Static(weights)


def test_weights_by_name_must_be_numbers():
    with pytest.raises(ValueError, match="finite numbers of at least 0"):
        Static({"a": "much"})


TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]


def of_history(history, tasks=TASKS, **options):
    return Static.from_history(history, tasks, **options).get_config()["weights"]


def test_weights_of_a_history_are_means_in_which_late_epochs_count_most():
    history = {
        "a_loss": [9.0] * 3,
        "a_weight": [1.0, 2.0, 4.0],
        "b_weight": [1.0, 0.5, 0.0],
        "b_auc": [0.0] * 3,
    }
    total = 1 + 0.9 + 0.81
    expected = {"a": (4 + 0.9 * 2 + 0.81) / total, "b": (0.9 * 0.5 + 0.81) / total}
    assert of_history(history) == pytest.approx(expected)
    assert of_history(history, beta=0) == {"a": 4.0, "b": 0.0}
    assert list(of_history(history, TASKS[::-1])) == ["b", "a"]
    assert of_history(history, TASKS[:1], beta=0.5) == pytest.approx({"a": (4 + 1 + 0.25) / 1.75})


def test_the_mean_is_an_exponential_average_with_adams_correction():
    weights, average = np.random.default_rng(0).uniform(size=20), 0.0
    for weight in weights:
        average = 0.8 * average + 0.2 * weight
    found = of_history({"a_weight": weights, "b_weight": weights}, beta=0.8)
    assert found == pytest.approx(dict.fromkeys("ab", average / (1 - 0.8**20)))


def test_epochs_without_a_label_do_not_count():
    nan = float("nan")
    history = {"a_weight": [2.0, 4.0, nan], "b_weight": [nan, 0.25, 0.25]}
    assert of_history(history, beta=0.5) == pytest.approx({"a": (4 + 0.5 * 2) / 1.5, "b": 0.25})


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (
            {"loss": [1.0]},
            r"must have a weight of task 'a' in some epoch.*Received: a history without weights",
        ),
        (
            {"c_weight": [1.0]},
            r"must have a weight of task 'a' in some epoch, as 'a_weight'. Received: c_weight",
        ),
        ({"a_weight": [float("nan")], "b_weight": [1.0]}, r"must have a weight of task 'a' in some epoch"),
        (
            {"a_weight": [1.0, 1.0], "b_weight": [1.0, 1.0]},
            r"of a method that weighs the tasks.*weights of 1 alone",
        ),
        ({"a_weight": [-1.0], "b_weight": [1.0]}, r"`weights` must hold finite numbers of at least 0"),
        ([], r"`history` must be a dictionary"),
    ],
)
def test_histories_that_imply_no_weights_are_refused(history, message):
    with pytest.raises(ValueError, match=message):
        Static.from_history(history, TASKS)


def test_weights_of_a_trained_balancer():
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    model = mz.architectures.hard_sharing(keras.Input((3,)), TASKS, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, TASKS, mz.balancers.Uncertainty())
    trainer.compile(keras.optimizers.Adam(0.1))
    history = trainer.fit(x, {"a": x[:, 0], "b": 9 * x[:, 1]}, epochs=3, verbose=0).history
    again = mz.Trainer(model, TASKS, Static.from_history(history, TASKS, beta=0.0))
    last = [history["a_weight"][-1], history["b_weight"][-1]]
    np.testing.assert_allclose(again.balancer.task_weights, last)
    assert last[0] > last[1] > 0
