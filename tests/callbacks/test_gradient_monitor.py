import csv
import itertools
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import mtl_zoo as mz
from mtl_zoo.callbacks import GradientMonitor, _gradient_health

TASKS = [mz.Task.regression("first"), mz.Task.regression("second")]
X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]], "float32")
Y = {
    "first": np.array([1.0, 2.0, 1.0, np.nan], "float32"),
    "second": np.array([0.0, 3.0, 1.0, 2.0], "float32"),
}
DRAW = mz.plots.gradient_health
EAGER = {"run_eagerly": True}  # quicker than a graph, for a few small steps


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch):
    """Drawing takes longer than all the rest."""
    monkeypatch.setattr(mz.plots, "gradient_health", lambda *_: Figure((1, 1)))


def linear_trainer(shared, heads, optimizer=None, compile=None, **arguments):
    """A shared linear layer, and one linear layer per task on it."""
    inputs = keras.Input((2,))
    x = keras.layers.Dense(2, use_bias=False, name="shared")(inputs)
    outputs = {
        task.name: keras.layers.Dense(1, use_bias=False, name=f"{task.name}_logits")(x) for task in TASKS
    }
    trainer = mz.Trainer(keras.Model(inputs, outputs), TASKS, **arguments)
    trainer.model.set_weights([np.array(w, "float32") for w in (shared, *heads)])
    trainer.compile(optimizer or keras.optimizers.SGD(0.1), **(EAGER if compile is None else compile))
    return trainer


SHARED, HEADS = [[1.0, -0.5], [0.25, 2.0]], ([[1.0], [0.5]], [[-1.0], [2.0]])


def gradients_by_hand(weights):
    """Return by task the gradients of the mean squared error by the shared kernel and by the task's own."""
    shared, *heads = weights
    found = {}
    for task, head in zip(TASKS, heads, strict=True):
        labelled = np.isfinite(Y[task.name])
        x, y = X[labelled], Y[task.name][labelled]
        error = 2 * (x @ shared @ head - y[:, None]) / len(y)
        found[task.name] = (x.T @ error @ head.T, (x @ shared).T @ error)
    return found


def rows(monitor):
    with (monitor.directory / "gradients.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def table(monitor, step=None):
    """Return the values of a step, the last one by default, by quantity and names."""
    found = rows(monitor)
    step = max(int(row["step"]) for row in found) if step is None else step
    return {
        "/".join(filter(None, (row["quantity"], row["layer"], row["task"], row["other_task"]))): float(
            row["value"]
        )
        for row in found
        if int(row["step"]) == step
    }


def steps(monitor):
    return sorted({int(row["step"]) for row in rows(monitor)})


def fit(trainer, monitor=None, x=X, y=Y, **arguments):
    arguments = {"batch_size": len(X), "verbose": 0, "shuffle": False, **arguments}
    return trainer.fit(x, y, callbacks=[monitor] if monitor else [], **arguments)


def cosine(a, b):
    return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)


# Values


@pytest.mark.parametrize("options", [EAGER, {}])
def test_values_by_hand(tmp_path, options):
    trainer = linear_trainer(SHARED, HEADS, compile=options)
    monitor = GradientMonitor(tmp_path, (X, Y), every=2)
    before = trainer.model.get_weights()
    fit(trainer, monitor)
    after = trainer.model.get_weights()
    (shared_1, own_1), (shared_2, own_2) = gradients_by_hand(after).values()
    expected = {
        "gradient_norm/shared/first": np.linalg.norm(shared_1),
        "gradient_norm/shared/second": np.linalg.norm(shared_2),
        "gradient_norm/first_logits/first": np.linalg.norm(own_1),
        "gradient_norm/second_logits/second": np.linalg.norm(own_2),
        **{
            f"update_ratio/{name}": np.linalg.norm(new - old) / np.linalg.norm(new)
            for name, new, old in zip(("shared", "first_logits", "second_logits"), after, before, strict=True)
        },
        "cosine/first/second": cosine(shared_1, shared_2),
    }
    found = table(monitor)
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=2e-6)
    assert monitor.alerts == []


def test_a_layer_is_the_norm_over_all_its_variables(tmp_path):
    # One example x = (3, 4), prediction 0 and label -1: derivative 2 by the bias, 2x by the kernel.
    inputs = keras.Input((2,))
    logits = keras.layers.Dense(1, kernel_initializer="zeros", name="output")(inputs)
    trainer = mz.Trainer(keras.Model(inputs, {"first": logits}), TASKS[:1])
    trainer.compile(keras.optimizers.SGD(0.0), **EAGER)
    x, y = np.array([[3.0, 4.0]], "float32"), {"first": np.array([-1.0], "float32")}
    monitor = GradientMonitor(tmp_path, (x, y))
    fit(trainer, monitor, x, y)
    expected = {"gradient_norm/output/first": math.sqrt(104), "update_ratio/output": 0.0}
    assert table(monitor) == pytest.approx(expected)


def test_sample_weights_of_the_probe_count(tmp_path):
    trainer = linear_trainer(SHARED, HEADS, optimizer=keras.optimizers.SGD(0.0))
    monitor = GradientMonitor(tmp_path, (X, Y, np.array([1.0, 0.0, 0.0, 0.0])))
    fit(trainer, monitor)
    error = 2 * (X[:1] @ SHARED @ HEADS[1] - 0.0)
    expected = np.linalg.norm((X[:1] @ SHARED).T @ error)
    assert table(monitor)["gradient_norm/second_logits/second"] == pytest.approx(expected, rel=1e-6)


def test_cosines_are_of_what_both_tasks_reach(tmp_path):
    # a and b share one layer, b and c another: b's cosines are over that layer alone; a, c have none.
    tasks = [mz.Task.regression(name) for name in "abc"]
    inputs = keras.Input((2,))
    left, right = (keras.layers.Dense(2, use_bias=False, name=name)(inputs) for name in ("left", "right"))
    total = keras.layers.Dense(1, use_bias=False, name="own")
    outputs = {"a": left[:, :1], "b": total(keras.layers.Concatenate()([left, right])), "c": right[:, :1]}
    trainer = mz.Trainer(keras.Model(inputs, outputs), tasks)
    trainer.compile(keras.optimizers.SGD(0.0), **EAGER)
    y = {name: np.linspace(-1, index, 4).astype("float32") for index, name in enumerate("abc", start=1)}
    monitor = GradientMonitor(tmp_path, (X, y))
    fit(trainer, monitor, y=y)
    left, right, own = trainer.model.get_weights()
    error_a, error_c = (2 * (X @ w[:, :1] - y[name][:, None]) / 4 for w, name in ((left, "a"), (right, "c")))
    error_b = 2 * (np.concatenate([X @ left, X @ right], axis=1) @ own - y["b"][:, None]) / 4
    found = {key: value for key, value in table(monitor).items() if key.startswith("cosine")}
    first = np.eye(2)[:1]
    assert found == pytest.approx(
        {
            "cosine/a/b": cosine(X.T @ error_a @ first, X.T @ error_b @ own[:2].T),
            "cosine/b/c": cosine(X.T @ error_b @ own[2:].T, X.T @ error_c @ first),
        },
        abs=1e-5,
    )


def test_sparse_gradients_of_embeddings(tmp_path):
    # Row 1 is read twice and row 2 once, each with derivative 2 * (0 - 1) / 3: norm of (4/3, 2/3).
    inputs = keras.Input((), dtype="int32")
    output = keras.layers.Embedding(5, 1, embeddings_initializer="zeros", name="table")(inputs)
    trainer = mz.Trainer(keras.Model(inputs, {"first": output}), TASKS[:1])
    trainer.compile(keras.optimizers.SGD(0.0), **EAGER)
    x, y = np.array([1, 2, 1], "int32"), {"first": np.ones(3, "float32")}
    monitor = GradientMonitor(tmp_path, (x, y))
    fit(trainer, monitor, x, y)
    assert table(monitor)["gradient_norm/table/first"] == pytest.approx(math.sqrt(20) / 3)


def test_layers_of_an_inner_model_in_graph_order(tmp_path):
    inner_input = keras.Input((2,))
    layers = [keras.layers.Dense(2, name=name) for name in ("z", "a")]
    inner = keras.Model(inner_input, layers[1](layers[0](inner_input)), name="inner")
    inputs = keras.Input((2,))
    output = keras.layers.Dense(1, name="head")(inner(inner(inputs)))
    trainer = mz.Trainer(keras.Model(inputs, {"first": output}), TASKS[:1])
    layers[1].bias.trainable = False
    trainer.compile(keras.optimizers.SGD(0.1), **EAGER)
    monitor = GradientMonitor(tmp_path, (X, Y))
    fit(trainer, monitor)
    assert monitor.layers == ["inner/z", "inner/a", "head"]
    assert sum(key.startswith("gradient_norm") for key in table(monitor)) == 3


# Training is the same


def test_training_is_bit_identical(tmp_path):
    def train(monitored):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((2,))
        x = keras.layers.Dense(4, activation="relu", kernel_regularizer="l2")(inputs)
        x = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(x), training=True)  # at inference too
        outputs = {task.name: keras.layers.Dense(1)(x) for task in TASKS}
        trainer = mz.Trainer(keras.Model(inputs, outputs), TASKS, mz.balancers.RLW())
        trainer.compile(keras.optimizers.Adam(0.01))
        monitor = GradientMonitor(tmp_path, (X, Y), every=2) if monitored else None
        history = fit(trainer, monitor, batch_size=1, epochs=3, shuffle=True)
        return history.history, [np.array(v) for v in trainer.variables + trainer.optimizer.variables]

    (plain_logs, plain), (watched_logs, watched) = train(False), train(True)
    assert plain_logs == watched_logs
    assert len(plain) > 20
    for one, other in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(one, other)


# Intervals, files


def test_measures_after_the_first_step_and_those_after_every_multiple(tmp_path):
    trainer = linear_trainer(SHARED, HEADS)
    monitor = GradientMonitor(tmp_path, (X, Y), every=3)
    fit(trainer, monitor, batch_size=1, epochs=2)  # 8 steps
    assert steps(monitor) == [1, 4, 7]
    fit(trainer, monitor, batch_size=1)  # 9 to 12: goes on
    assert steps(monitor) == [1, 4, 7, 10]


def test_counts_the_steps_of_one_execution(tmp_path):
    trainer = linear_trainer(SHARED, HEADS, compile={"steps_per_execution": 3})
    monitor = GradientMonitor(tmp_path, (X, Y), every=5)
    fit(
        trainer, monitor, batch_size=1, epochs=3
    )  # in each epoch 3 steps, then 1: ends after 3, 4, 7, 8, 11, 12
    assert steps(monitor) == [
        3,
        8,
        12,
    ]  # of the executions that begin at 0, and first at 5 and at 10 or later


def test_the_default_interval_grows_with_the_tasks(tmp_path):
    tasks = [mz.Task.regression(f"task_{index}") for index in range(12)]
    y = {task.name: np.ones(4, "float32") for task in tasks}
    found = []
    for number in (2, 12):
        inputs = keras.Input((2,))
        outputs = {task.name: keras.layers.Dense(1)(inputs) for task in tasks[:number]}
        trainer = mz.Trainer(keras.Model(inputs, outputs), tasks[:number])
        trainer.compile(keras.optimizers.SGD(0.0), **EAGER)
        monitor = GradientMonitor(tmp_path, (X, y))
        fit(trainer, monitor, y=y)
        found.append(monitor.every)
    assert found == [500, 600]


def test_a_resumed_training_continues_the_table(tmp_path):
    def record(path, *epochs):
        trainer = linear_trainer(SHARED, HEADS)
        fit(trainer, GradientMonitor(path, (X, Y), every=2), batch_size=1, epochs=epochs[0])
        saved = trainer.optimizer.iterations.numpy(), trainer.model.get_weights()
        if epochs[1:]:
            with (path / "gradients.csv").open(
                "a"
            ) as file:  # what a killed process wrote after its checkpoint
                file.write("9,gradient_norm,shared,first,,7\r\n11,gradient_no")
            trainer = linear_trainer(SHARED, HEADS)
            trainer.optimizer.iterations.assign(saved[0])
            trainer.model.set_weights(saved[1])
            fit(trainer, GradientMonitor(path, (X, Y), every=2), batch_size=1, epochs=epochs[1])
        return (path / "gradients.csv").read_bytes()

    assert record(tmp_path / "once", 3) == record(tmp_path / "twice", 2, 1)


def test_a_new_training_replaces_the_table(tmp_path):
    for epochs in (2, 1):
        monitor = GradientMonitor(tmp_path, (X, Y), every=1)
        fit(linear_trainer(SHARED, HEADS), monitor, epochs=epochs)
    assert steps(monitor) == [1]


def test_tensorboard_has_the_numbers_of_the_table(tmp_path):
    monitor = GradientMonitor(tmp_path, (X, Y), every=2)
    fit(linear_trainer(SHARED, HEADS), monitor, batch_size=1)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(events.Tags()["tensors"] or events.Tags()["scalars"]) == sorted(table(monitor))
    for tag, value in table(monitor).items():
        scalars = events.Scalars(tag)
        assert [event.step for event in scalars] == [1, 3]
        assert scalars[1].value == pytest.approx(value, rel=1e-5)


def test_draws_what_was_measured(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(mz.plots, "gradient_health", lambda *a: seen.append(a) or DRAW(*a))
    monitor = GradientMonitor(tmp_path, (X, Y), every=2)
    fit(linear_trainer(SHARED, HEADS), monitor, batch_size=1)
    assert (tmp_path / "gradients.png").read_bytes().startswith(b"\x89PNG")
    ((found, norms, ratios, cosines, layers, tasks),) = seen
    assert (found, layers, list(tasks)) == ([1, 3], ["shared", "first_logits", "second_logits"], TASKS)
    last = table(monitor)
    assert norms[1, 0, 1] == last["gradient_norm/shared/second"]
    assert ratios[1, 2] == last["update_ratio/second_logits"]
    assert cosines[1, 0, 1] == cosines[1, 1, 0] == last["cosine/first/second"]
    np.testing.assert_array_equal(np.isnan(norms[0]), [[0, 0], [0, 1], [1, 0]])


# Alerts


def chain(activation, gain, depth=12, dtype=None):
    """A trainer whose two tasks share a chain of dense layers, with one batch of data."""
    initializer = keras.initializers.RandomNormal(stddev=gain, seed=1)
    encoder = inputs = keras.Input((8,))
    for index in range(depth):
        layer = keras.layers.Dense(
            8, activation, kernel_initializer=initializer.clone(), name=f"dense_{index:02d}", dtype=dtype
        )
        encoder = layer(encoder)
    outputs = {
        task.name: keras.layers.Dense(1, name=f"{task.name}_logits", dtype="float32")(encoder)
        for task in TASKS
    }
    trainer = mz.Trainer(keras.Model(inputs, outputs), TASKS)
    trainer.compile(keras.optimizers.SGD(0.0), **EAGER)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 8)).astype("float32")
    return trainer, x, {task.name: rng.normal(size=16).astype("float32") for task in TASKS}


def alerts(tmp_path, trainer, x, y, **arguments):
    monitor = GradientMonitor(tmp_path, (x, y), every=1, **arguments)
    fit(trainer, monitor, x, y, epochs=2)
    return monitor


def test_a_chain_of_sigmoids_vanishes(tmp_path, caplog):
    monitor = alerts(tmp_path, *chain("sigmoid", 0.3))
    norms = table(monitor)
    places = [(alert.task, alert.layer) for alert in monitor.alerts]
    expected = [
        (task.name, layer)
        for task in TASKS
        for layer in monitor.layers[:12]
        if norms[f"gradient_norm/{layer}/{task.name}"]
        < 1e-4 * norms[f"gradient_norm/{task.name}_logits/{task.name}"]
    ]
    assert places == expected
    assert {("first", "dense_00"), ("second", "dense_03")} <= set(places)
    assert not {"dense_11", "first_logits"} & {layer for _, layer in places}
    assert {(alert.step, alert.kind) for alert in monitor.alerts} == {(1, "vanishing")}
    messages = [record.getMessage() for record in caplog.records if "vanishes" in record.getMessage()]
    assert len(messages) == len(places)  # once, though it was measured twice
    assert "The gradient of task 'first' vanishes in layer 'dense_00': its norm is " in messages[0]


def test_small_gradients_everywhere_vanish(tmp_path):
    trainer, x, y = chain("linear", 0.4, depth=1)
    y = {name: 1e-6 * values for name, values in y.items()}
    trainer.model.set_weights(
        [0 * weight if weight.ndim > 1 else weight for weight in trainer.model.get_weights()]
    )
    trainer.model.layers[1].kernel.assign(np.eye(8))
    monitor = alerts(tmp_path, trainer, x, y, vanishing_norm=1e-3)
    assert {(a.kind, a.task, a.layer) for a in monitor.alerts} == {
        ("vanishing", task.name, layer) for task in TASKS for layer in ("dense_00", f"{task.name}_logits")
    }


def test_large_weights_explode(tmp_path, caplog):
    monitor = alerts(tmp_path, *chain("relu", 3.0))
    assert {(a.kind, a.task, a.layer) for a in monitor.alerts} == {
        ("exploding", task.name, layer)
        for task in TASKS
        for layer in monitor.layers
        if table(monitor).get(f"gradient_norm/{layer}/{task.name}", 0) > 1e3
    }
    assert ("exploding", "second", "dense_00") in {alert[1:4] for alert in monitor.alerts}
    assert "The gradient of task 'first' explodes in layer 'dense_00'" in caplog.text


def test_what_is_not_finite_explodes_for_its_task_alone(tmp_path):
    heads = ([[np.inf], [0.5]], HEADS[1])
    trainer = linear_trainer(SHARED, heads, optimizer=keras.optimizers.SGD(0.0))
    trainer.model.get_layer("shared").trainable = False
    trainer.compile(keras.optimizers.SGD(0.0), **EAGER)
    monitor = GradientMonitor(tmp_path, (X, Y))
    trainer.fit(X, Y, callbacks=[monitor], verbose=0)
    assert [alert[1:4] for alert in monitor.alerts] == [("exploding", "first", "first_logits")]
    assert not math.isfinite(table(monitor)["gradient_norm/first_logits/first"])
    assert math.isfinite(table(monitor)["gradient_norm/second_logits/second"])


def test_a_task_without_gradient_is_dead(tmp_path):
    class Stop(keras.layers.Layer):
        def call(self, x):
            return keras.ops.stop_gradient(x)

    inputs = keras.Input((2,))
    x = keras.layers.Dense(1)(inputs)
    trainer = mz.Trainer(keras.Model(inputs, {"first": x, "second": Stop()(x)}), TASKS)
    trainer.compile(keras.optimizers.SGD(0.0), **EAGER)
    monitor = alerts(tmp_path, trainer, X, Y)
    ((step, kind, task, layer, message),) = monitor.alerts
    assert (step, kind, task, layer) == (1, "dead", "second", None)
    assert message == "No layer receives a gradient from task 'second'."
    assert [key for key in table(monitor) if key.endswith("second")] == []


def test_a_task_whose_weights_are_all_zero_is_dead(tmp_path):
    trainer = linear_trainer(np.zeros((2, 2)), (HEADS[0], np.zeros((2, 1))), keras.optimizers.SGD(0.0))
    monitor = alerts(tmp_path, trainer, X, Y)
    assert [alert[1:4] for alert in monitor.alerts] == [
        ("vanishing", "first", "first_logits"),  # its features are zero
        ("dead", "second", None),
    ]


def test_overflow_with_loss_scaling_is_no_alert(tmp_path):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.0), initial_scale=2.0**126)
    monitor = alerts(tmp_path, linear_trainer([[4.0, 4.0]] * 2, HEADS, optimizer), X, Y)
    assert not math.isfinite(table(monitor, 0)["gradient_norm/shared/second"])
    assert monitor.alerts == []


def test_loss_scaling_keeps_small_gradients_of_half_precision(tmp_path):
    # An error of 1e-4 over 16384 outputs of one example: 1.2e-8 each, below the smallest half.
    task = mz.Task.regression("first", 16384)
    found = []
    for scale in (1.0, 2.0**12):
        inputs = keras.Input((1,))
        x = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", dtype="mixed_float16")(inputs)
        x = keras.layers.Dense(
            16384, use_bias=False, kernel_initializer="zeros", dtype="mixed_float16", name="wide"
        )(x)
        trainer = mz.Trainer(keras.Model(inputs, {"first": x}), [task])
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.0), initial_scale=scale)
        trainer.compile(optimizer, **EAGER)
        x, y = np.ones((1, 1), "float32"), {"first": np.full((1, 16384), 1e-4, "float32")}
        monitor = GradientMonitor(tmp_path, (x, y))
        fit(trainer, monitor, x, y)
        found.append(table(monitor)["gradient_norm/wide/first"])
    assert found == pytest.approx([0.0, 2e-4 / 16384 * 128], rel=1e-2)


# Arguments


def test_takes_the_first_batch_of_a_dataset(tmp_path):
    other = {name: values + 7 for name, values in Y.items()}
    data = tf.data.Dataset.from_tensors((X, Y)).concatenate(tf.data.Dataset.from_tensors((-X, other)))
    tables = []
    for probe in ((X, Y), data):
        monitor = GradientMonitor(tmp_path, probe)
        fit(linear_trainer(SHARED, HEADS), monitor)
        tables.append(table(monitor))
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, r"`every` must be an integer of at least 1. Received: every=0"),
        ({"every": 2.0}, r"`every` must be an integer"),
        ({"vanishing_ratio": -1.0}, r"`vanishing_ratio` must not be negative"),
        ({"vanishing_norm": 2.0, "exploding_norm": 1.0}, r"Received: vanishing_norm=2.0, exploding_norm=1.0"),
        ({"data": [X, Y]}, r"`data` must be a batch .* Received: list"),
        ({"data": tf.data.Dataset.from_tensors((X, Y)).take(0)}, r"at least one batch"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        GradientMonitor(tmp_path, **{"data": (X, Y), **arguments})


def test_every_task_needs_a_label_in_the_probe(tmp_path):
    empty = {**Y, "second": np.full(4, np.nan, "float32")}
    with pytest.raises(
        ValueError, match=r"Every task must have a label in the probe.* none for \['second'\]"
    ):
        fit(linear_trainer(SHARED, HEADS), GradientMonitor(tmp_path, (X, empty)))
    with pytest.raises(ValueError, match="Every task must have labels"):
        fit(linear_trainer(SHARED, HEADS), GradientMonitor(tmp_path, (X, {"first": Y["first"]})))


def test_needs_a_trainer(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(TypeError, match="must be given to a `Trainer`"):
        model.fit(X, Y["second"], callbacks=[GradientMonitor(tmp_path, (X, Y))], verbose=0)


# With what exists


def test_every_layer_of_an_architecture_without_alerts(tmp_path):
    inputs, encoder = keras.Input((8, 8, 3)), [*mz.encoders.convnet(4, 8), *mz.encoders.mlp(8)]
    tasks = [mz.Task.classification("a", 3), mz.Task.binary("b"), mz.Task.regression("c")]
    trainer = mz.Trainer(mz.architectures.mmoe(inputs, tasks, encoder), tasks)
    trainer.compile("adam", **EAGER)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 8, 8, 3)).astype("float32")
    y = {"a": rng.integers(0, 3, 16), "b": rng.integers(0, 2, 16), "c": rng.normal(size=16).astype("float32")}
    monitor = GradientMonitor(tmp_path, (x, y), every=1)
    fit(trainer, monitor, x, y, batch_size=8)
    assert monitor.alerts == []
    trainable = {layer.name for layer in trainer.model.layers if layer.trainable_variables}
    assert set(monitor.layers) == trainable
    pairs = [key for key in table(monitor) if key.startswith("cosine")]
    assert pairs == [f"cosine/{one}/{other}" for one, other in itertools.combinations("abc", 2)]


REPLICAS = """
import sys
import keras, numpy as np, tensorflow as tf
cpu, *_ = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import mtl_zoo as mz
from mtl_zoo.callbacks import GradientMonitor
tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
x = np.linspace(-1, 1, 32).reshape(8, 4).astype("float32")
y = {"a": x[:, 0], "b": x[:, 1] ** 2}
weights = []
one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for strategy, watched in ((one, True), (two, True), (two, False)):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        encoder = mz.encoders.mlp(3, activation="tanh")
        model = mz.architectures.hard_sharing(keras.Input((4,)), tasks, encoder)
        trainer = mz.Trainer(model, tasks)
        trainer.compile(keras.optimizers.SGD(0.1))
        callbacks = [GradientMonitor(f"{sys.argv[1]}/{strategy.num_replicas_in_sync}", (x, y), every=1)]
        trainer.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=callbacks[:watched])
        weights.append(model.get_weights())
for watched, unwatched in zip(weights[1], weights[2], strict=True):
    np.testing.assert_array_equal(watched, unwatched)
"""


@pytest.mark.slow
def test_two_replicas_measure_what_one_device_does(tmp_path):
    subprocess.run([sys.executable, "-c", REPLICAS, tmp_path], check=True)
    one, two = (
        [line.split(",") for line in (tmp_path / n / "gradients.csv").read_text().split()] for n in "12"
    )
    assert [row[:-1] for row in one] == [row[:-1] for row in two]
    values = [[float(row[-1]) for row in table[1:]] for table in (one, two)]
    np.testing.assert_allclose(*values, rtol=1e-5)


def test_rows_of_a_table_have_the_products_of_the_whole():
    values, shape = tf.constant([[1.0, 2.0], [3.0, 0.0], [1.0, 1.0]]), tf.constant([6, 2])
    first = tf.IndexedSlices(values, tf.constant([4, 0, 4]), shape)
    second = tf.IndexedSlices(tf.constant([[2.0, -1.0]]), tf.constant([4]), shape)
    for column in ([first, None, second], [tf.convert_to_tensor(first), None, second]):
        products = _gradient_health._products(column)
        np.testing.assert_allclose(products, [[22.0, 0.0, 1.0], [0.0] * 3, [1.0, 0.0, 5.0]])
