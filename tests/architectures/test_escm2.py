import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.architectures import escm2
from mtl_zoo.exporting.model_card import model_card
from tests.architectures import harness
from tests.architectures.harness import build, reach

CLICK, BUY = mz.Task.binary("click"), mz.Task.binary("buy")
TASKS = [CLICK, mz.conversion_task("after"), BUY]
IPS = [CLICK, mz.conversion_task("after", "ips"), BUY]
TOWER = (5 * 4 + 4) + (4 * 3 + 3) + (3 * 1 + 1)
LABELS = {
    "click": np.array([1, 1, 0, 1, 0, 0]),
    "after": np.array([1, 0, -1, 0, -1, -1]),
    "buy": np.array([1, 0, 0, 0, 0, 0]),
}


def test_contract():
    harness.check_graph(escm2, TASKS, ("mlp", "convnet+mlp"))


def test_parameter_counts():
    # Inputs 5: per tower an encoder (4, 3) and one number; the third tower guesses the error.
    assert build(escm2, tasks=TASKS).count_params() == 3 * TOWER
    assert build(escm2, tasks=IPS).count_params() == 2 * TOWER


def test_a_task_reaches_its_towers_and_propensities_none():
    wanted = {"click": {"click", "buy"}, "after": {"after", "buy"}, "guess": {"after"}}
    for path, names in reach(build(escm2, tasks=TASKS), tasks=TASKS).items():
        first, second = path.split("_")[:2]
        assert names == wanted["guess" if second == "guess" else first], path


def test_predictions_are_probabilities_that_multiply(tmp_path):
    model, (x, _) = build(escm2, tasks=TASKS), harness.batch()
    mz.exporting.saved_model(model, TASKS, tmp_path / "1")
    answer = tf.saved_model.load(tmp_path / "1").signatures["serving_default"](x=tf.constant(x))
    logits = model(x)
    np.testing.assert_allclose(answer["after"], keras.ops.sigmoid(logits["after"][:, :1]), rtol=1e-5)
    np.testing.assert_array_equal(logits["after"][:, 1:2], logits["click"])
    np.testing.assert_allclose(answer["click"] * answer["after"], answer["buy"], rtol=1e-5)
    card = model_card(model, TASKS)["tasks"]["after"]
    assert card == {"kind": "conversion", "output": {"shape": [None, 1], "dtype": "float32"}}


@pytest.mark.parametrize("space", ["shared", "representation"])
def test_training_moves_every_tower_in_both_spaces(space):
    model, (x, _) = build(escm2, "convnet+mlp", tasks=TASKS), harness.batch("convnet+mlp")
    trainer = mz.Trainer(model, TASKS, mz.balancers.Static([1.0, 0.1, 0.1]), mz.aggregators.MGDA(), space)
    trainer.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = trainer.fit(x, LABELS, batch_size=6, verbose=0).history
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, old), variable.path
    assert 0 <= logs["after_auc"][0] <= 1


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        ([CLICK, BUY], r"click \(binary\), buy \(binary\)"),
        ([CLICK, dataclasses.replace(BUY, name="after"), BUY], r"after \(binary\), buy"),
        ([TASKS[1], CLICK, mz.Task.regression("buy")], r"buy \(regression\)"),
    ],
)
def test_the_tasks_must_be_these_three(tasks, found):
    with pytest.raises(ValueError, match=rf"`tasks` must be three: binary of clicks, .* Received: .*{found}"):
        escm2(keras.Input((5,)), tasks, mz.encoders.mlp(3))


def test_the_product_is_of_all_rows():
    tasks = [*TASKS[:2], dataclasses.replace(TASKS[2], where="click")]
    with pytest.raises(ValueError, match="on every row, without `where`"):
        escm2(keras.Input((5,)), tasks, mz.encoders.mlp(3))
