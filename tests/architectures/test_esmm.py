import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.architectures import esmm
from tests.architectures.harness import batch, build, check_architecture, reach

TASKS = [mz.Task.binary("click"), mz.Task.binary("cart"), mz.Task.binary("buy")]


def test_contract():
    check_architecture(esmm, tasks=TASKS)


def test_parameter_count():
    # Inputs 5: per task an encoder (4, 3) and one logit; nothing else.
    towers = 3 * ((5 * 4 + 4) + (4 * 3 + 3) + (3 * 1 + 1))
    assert build(esmm, tasks=TASKS).count_params() == towers


def test_a_task_reaches_its_tower_and_those_of_the_events_before():
    order = [task.name for task in TASKS]
    for path, names in reach(build(esmm, tasks=TASKS), tasks=TASKS).items():
        assert names == set(order[order.index(path.split("_")[0]) :])


def test_towers_share_the_first_stage_of_maps():
    found = reach(build(esmm, "convnet+mlp", tasks=TASKS), "convnet+mlp", tasks=TASKS)
    assert {"shared_1_conv/kernel", "click_1_dense/kernel"} <= set(found)
    assert found["shared_1_conv/kernel"] == {"click", "cart", "buy"}


def test_probabilities_are_products_of_the_towers():
    model = build(esmm, tasks=TASKS)
    x, _ = batch(tasks=TASKS)
    towers = keras.Model(model.input, [model.get_layer(f"{task.name}_logits").output for task in TASKS])(x)
    conditional = 1 / (1 + np.exp(-np.array(towers, "float64")))
    for task, expected in zip(TASKS, np.cumprod(conditional, axis=0), strict=True):
        np.testing.assert_allclose(task.activation(model(x)[task.name]), expected, rtol=1e-5)


def test_learns_conversion_over_the_entire_space():
    # Half of all click, wherever x is; of those, the ones with x > 0 buy.
    random = np.random.default_rng(0)
    x = random.choice([-1.0, 1.0], (4000, 1)).astype("float32")
    click = random.integers(0, 2, 4000)
    labels = {"click": click, "buy": click * (x[:, 0] > 0)}
    tasks = [mz.Task.binary("click"), mz.Task.binary("buy")]
    keras.utils.set_random_seed(0)
    model = esmm(keras.Input((1,)), tasks, mz.encoders.mlp(8, activation="tanh"))
    trainer = mz.Trainer(model, tasks)
    trainer.compile(keras.optimizers.Adam(0.01))
    trainer.fit(x, labels, epochs=8, batch_size=100, verbose=0)
    logits = keras.Model(model.input, model.get_layer("buy_logits").output)(np.array([[-1.0], [1.0]]))
    after_a_click = np.array(keras.ops.sigmoid(logits))[:, 0]
    assert after_a_click[0] < 0.1
    assert after_a_click[1] > 0.9


def test_every_task_must_be_binary():
    tasks = [*TASKS, mz.Task.regression("price"), mz.Task.multilabel("kinds", 2)]
    with pytest.raises(
        ValueError, match=r"must be binary, .* Received: tasks \['price', 'kinds'\], which are"
    ):
        esmm(keras.Input((5,)), tasks, mz.encoders.mlp(3))


def test_too_many_shared_stages():
    with pytest.raises(ValueError, match="must leave at least one of the encoder's 1 stages"):
        esmm(keras.Input((5,)), TASKS, mz.encoders.mlp(3), shared_stages=1)


def test_a_task_on_some_rows_alone_is_no_link_of_a_chain():
    with pytest.raises(ValueError, match=r"on every row, without `where`. Received: \['buy'\]"):
        esmm(keras.Input((5,)), [TASKS[0], mz.Task.binary("buy", where="click")], mz.encoders.mlp(3))
