import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.evaluation.delta_m import delta_m

KIND = mz.Task.classification("kind", 3, headline=["accuracy", "loss"])
PRICE = mz.Task.regression("price")
SINGLE = {"kind_accuracy": 0.5, "kind_loss": 2.0, "price_mean_absolute_error": 4.0, "price_loss": 9.0}
FOUND = {"kind_accuracy": 0.6, "kind_loss": 1.0, "price_mean_absolute_error": 5.0, "price_loss": 0.0}


def test_hand_worked_numbers():
    assert delta_m(FOUND, SINGLE, [KIND]) == pytest.approx(35.0)  # of +20% accuracy and +50% of the loss
    assert delta_m(FOUND, SINGLE, [PRICE]) == pytest.approx(-25.0)
    assert delta_m(FOUND, SINGLE, [KIND, PRICE]) == pytest.approx(5.0)
    assert delta_m(SINGLE, SINGLE, [KIND, PRICE]) == 0.0


def test_a_gain_over_a_negative_baseline_is_a_gain():
    task = mz.Task.regression("price", metrics=[keras.metrics.R2Score()])
    assert delta_m({"price_r2_score": 0.5}, {"price_r2_score": -0.5}, [task]) == pytest.approx(200.0)
    assert delta_m({"price_r2_score": -1.0}, {"price_r2_score": -0.5}, [task]) == pytest.approx(-100.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"price_mean_absolute_error": 0.0},
            r"baseline's 'mean_absolute_error' of task 'price' must not be 0",
        ),
        ({"price_mean_absolute_error": None}, r"'price_mean_absolute_error' must be finite. Received: None"),
        ({"kind_loss": float("nan")}, r"Metric 'kind_loss' must be finite. Received: nan"),
        ({"kind_loss": float("inf")}, r"Metric 'kind_loss' must be finite. Received: inf"),
    ],
)
def test_baselines_that_tell_nothing_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        delta_m(FOUND, SINGLE | change, [KIND, PRICE])


def test_metrics_that_are_not_there_are_refused():
    with pytest.raises(
        ValueError, match=r"must be a metric 'kind_loss', by which task 'kind' .*'kind_accuracy'"
    ):
        delta_m({"kind_accuracy": 0.5}, SINGLE, [KIND])
    with pytest.raises(ValueError, match=r"must be a metric 'kind_accuracy', .*Received: \[\]"):
        delta_m(None, SINGLE, [KIND])
    with pytest.raises(ValueError, match=r"`metrics` must be a dictionary"):
        delta_m([0.5], SINGLE, [KIND])
    with pytest.raises(ValueError, match=r"There must be at least one task"):
        delta_m(FOUND, SINGLE, [])


def test_takes_what_a_trainer_measures():
    tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    trainer = mz.Trainer(mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4)), tasks)
    trainer.compile("adam")
    x = np.random.default_rng(0).normal(size=(16, 3))
    found = trainer.evaluate(x, {"click": x[:, 0] > 0, "price": x[:, 1]}, verbose=0, return_dict=True)
    better = found | {"click_auc": 1.1 * found["click_auc"]}
    assert delta_m(better, found, tasks) == pytest.approx(5.0)
