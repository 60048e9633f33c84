"""What was not measured is reported as such: in the logs, to callbacks, and in the weights of tasks."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

TASKS = [mz.Task.binary("click"), mz.Task.regression("price")]
NAN = np.nan
AGGREGATORS = [
    mz.aggregators.Mean,
    mz.aggregators.MoCo,
    mz.aggregators.MoDo,
    mz.aggregators.SDMGrad,
    mz.aggregators.ExcessMTL,
    mz.aggregators.DBMTL,
    mz.aggregators.MGDA,
    mz.aggregators.Random,
    lambda: mz.aggregators.Constant([0.2, 0.3]),
    lambda: mz.aggregators.CRMOGM(mz.aggregators.MGDA()),
]


def make_trainer(tasks=TASKS, architecture="hard_sharing", run_eagerly=True, **arguments):
    keras.utils.set_random_seed(0)
    encoder = mz.encoders.mlp(6, activation="tanh")
    model = getattr(mz.architectures, architecture)(keras.Input((4,)), tasks, encoder)
    trainer = mz.Trainer(model, tasks, **arguments)
    trainer.compile(keras.optimizers.Adam(1e-2), run_eagerly=run_eagerly)
    return trainer


def data(price=True):
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    return x, {"click": (x[:, 0] > 0).astype(int), "price": x[:, 1] if price else np.full(16, NAN)}


def test_a_task_without_labels_is_nan_and_not_in_the_loss(caplog):
    trainer = make_trainer()
    history = trainer.fit(*data(), validation_data=data(price=False), epochs=3, verbose=0).history
    for name in ("loss", "mean_absolute_error", "root_mean_squared_error"):
        assert np.isnan(history[f"val_price_{name}"]).all()
        assert np.isfinite(history[f"price_{name}"]).all()
    assert history["val_loss"] == history["val_click_loss"]
    assert [record.getMessage() for record in caplog.records] == [
        "No label of task 'price' was seen: its loss and metrics are NaN, not in `loss`."
    ]


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_training_without_labels_of_a_task_measures_nothing_of_it(run_eagerly, caplog):
    trainer = make_trainer(run_eagerly=run_eagerly)
    history = trainer.fit(*data(price=False), batch_size=8, verbose=0).history
    for name in ("loss", "weight", "mean_absolute_error"):
        assert np.isnan(history[f"price_{name}"]).all()
    assert history["loss"] == history["click_loss"]
    assert history["click_weight"] == [1.0]
    assert "task 'price'" in caplog.text


def test_nothing_at_all_is_no_loss_of_zero():
    x, labels = data(price=False)
    logs = make_trainer().evaluate(x, labels | {"click": np.full(16, -1)}, verbose=0, return_dict=True)
    assert np.isnan(list(logs.values())).all()


def test_steps_that_were_all_skipped_measured_no_metric():
    x, labels = data()
    trainer = make_trainer()
    logs = trainer.train_on_batch(x, labels | {"price": np.full(16, 1e30)}, return_dict=True)
    assert logs["skipped_steps"] == 1
    assert np.isfinite(logs["click_loss"])
    assert np.isnan([logs["click_accuracy"], logs["click_weight"], logs["loss"]]).all()


def test_callbacks_do_not_choose_the_first_epoch_by_what_was_not_measured(tmp_path):
    stop = keras.callbacks.EarlyStopping("val_price_loss", patience=1, mode="min", restore_best_weights=True)
    path = tmp_path / "best.weights.h5"
    best = keras.callbacks.ModelCheckpoint(
        path, "val_price_loss", save_best_only=True, save_weights_only=True, mode="min"
    )
    table = keras.callbacks.CSVLogger(tmp_path / "logs.csv")
    board = keras.callbacks.TensorBoard(tmp_path / "board")
    trainer = make_trainer()
    seen = []
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(trainer.model.get_weights()))
    history = trainer.fit(
        *data(),
        validation_data=data(price=False),
        epochs=4,
        verbose=0,
        callbacks=[record, stop, best, table, board],
    )
    assert history.epoch == [0, 1, 2, 3]
    assert all(map(np.array_equal, trainer.model.get_weights(), seen[-1]))
    fresh = make_trainer()
    fresh.load_weights(path)
    assert all(map(np.array_equal, fresh.model.get_weights(), seen[-1]))
    assert "nan" in (tmp_path / "logs.csv").read_text()


def test_a_first_number_is_better_than_none_before_it():
    stop = keras.callbacks.EarlyStopping("watched", patience=9, mode="min")
    values = iter([NAN, 2.0, 3.0, 1.0, NAN])
    give = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(watched=next(values)))
    make_trainer().fit(*data(), epochs=5, verbose=0, callbacks=[[give], stop])
    assert (stop.best_epoch, stop.best) == (3, 1.0)


@pytest.mark.parametrize("make", AGGREGATORS)
def test_the_weight_of_a_task_that_shares_nothing_is_that_of_the_balancer(make):
    x, labels = data()
    for arguments, expected in (({}, [1.0, 1.0]), ({"balancer": mz.balancers.Static([2, 3])}, [2.0, 3.0])):
        trainer = make_trainer(architecture="single_task", aggregator=make(), **arguments)
        logs = trainer.train_on_batch(x, labels, return_dict=True)
        assert [logs["click_weight"], logs["price_weight"]] == expected


def test_the_weight_of_a_task_beside_two_that_share_is_its_own():
    inputs = keras.Input((4,))
    shared, own = keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs)
    tasks = [mz.Task.regression(name) for name in ("first", "second", "third")]
    ends = {"first": shared, "second": shared, "third": own}
    model = keras.Model(inputs, {name: keras.layers.Dense(1)(end) for name, end in ends.items()})
    trainer = mz.Trainer(model, tasks, aggregator=mz.aggregators.Mean())
    trainer.compile("sgd", run_eagerly=True)
    x, labels = data()
    logs = trainer.train_on_batch(x, dict.fromkeys(ends, labels["price"]), return_dict=True)
    weights = [logs[f"{name}_weight"] for name in ends]
    np.testing.assert_allclose(weights, [1 / 3, 1 / 3, 1.0], rtol=1e-6)


@pytest.mark.parametrize("make", [mz.aggregators.MoCo, mz.aggregators.MoDo, mz.aggregators.SDMGrad])
def test_the_weight_of_a_task_that_is_alone_in_the_batch_is_all(make):
    trainer = make_trainer(aggregator=make())
    logs = trainer.train_on_batch(*data(price=False), return_dict=True)
    assert logs["click_weight"] == pytest.approx(1.0)
    assert np.isnan(logs["price_weight"])


def test_lists_are_in_the_order_of_the_names_with_the_loss_first():
    trainer = make_trainer()
    x, labels = data()
    for method, arguments in (
        (trainer.test_on_batch, {}),
        (trainer.evaluate, {"verbose": 0}),
        (trainer.train_on_batch, {}),  # the last: its metrics are those before the update
    ):
        weights = trainer.get_weights()
        listed = method(x, labels, **arguments)
        trainer.set_weights(weights)
        logs = method(x, labels, return_dict=True, **arguments)
        assert trainer.metrics_names[0] == "loss"
        assert listed == pytest.approx([logs[name] for name in trainer.metrics_names], rel=1e-6)
        assert listed[0] == pytest.approx(listed[1] + listed[2])


def several_metrics(task, *metrics):
    return dataclasses.replace(task, metrics=metrics)


MANY = [
    several_metrics(
        mz.Task.multilabel("tags", 3),
        functools.partial(keras.metrics.AUC, multi_label=True),
        functools.partial(keras.metrics.F1Score, "macro", threshold=0.5),
        functools.partial(keras.metrics.Precision, class_id=1),
    ),
    several_metrics(
        mz.Task.tagging("words", 3),
        functools.partial(keras.metrics.F1Score, None),
        keras.metrics.KLDivergence,
    ),
    several_metrics(mz.Task.regression("sizes", 2), keras.metrics.R2Score, keras.metrics.PearsonCorrelation),
]


def many():
    """Return a model of the tasks above, inputs and labels, of which some are missing."""
    inputs = keras.Input((4,))
    words = keras.layers.Reshape((5, 3))(keras.layers.Dense(15)(inputs))
    outputs = {
        "tags": keras.layers.Dense(3)(inputs),
        "words": keras.layers.Conv1D(3, 1)(words),  # of unknown length, as labels are
        "sizes": keras.layers.Dense(2)(inputs),
    }
    random = np.random.default_rng(0)
    x = random.normal(size=(24, 4)).astype("float32")
    tags, words = random.integers(-1, 2, (24, 3)), random.integers(-1, 3, (24, 5))
    sizes = np.where(random.uniform(size=(24, 2)) < 0.3, NAN, random.normal(size=(24, 2)))
    return keras.Model(inputs, outputs), x, {"tags": tags, "words": words, "sizes": sizes}


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}, {"strategy": True}, {"accumulate": 2}])
def test_every_way_to_run_measures_the_same(options):
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.get_strategy()
    if options.get("strategy"):
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model, x, labels = many()
        trainer = mz.Trainer(model, MANY, accumulate=options.get("accumulate", 1))
        trainer.compile(keras.optimizers.SGD(0.0), jit_compile=options.get("jit_compile", False))
    expected = reference()
    history = trainer.fit(x, labels, batch_size=12, shuffle=False, verbose=0).history
    logs = trainer.evaluate(x, labels, batch_size=12, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-4, abs=1e-5, nan_ok=True)
    trained = {name: history[name][0] for name in expected}
    assert trained == pytest.approx(expected, rel=1e-4, abs=1e-5, nan_ok=True)


@functools.cache
def reference():
    keras.utils.set_random_seed(0)
    model, x, labels = many()
    trainer = mz.Trainer(model, MANY)
    trainer.compile(run_eagerly=True)
    return trainer.evaluate(x, labels, verbose=0, return_dict=True)


def test_a_metric_of_the_name_of_a_log_is_refused():
    task = several_metrics(mz.Task.binary("click"), functools.partial(keras.metrics.BinaryAccuracy, "weight"))
    with pytest.raises(ValueError, match=r"different keys in the logs\. Received: click_weight twice"):
        make_trainer([task])
