"""What both optimizers do: in Keras' `fit`, in a `Trainer`, in files, and on several devices."""

import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.experiments.choices import FAMILIES
from mtl_zoo.experiments.optimizer import make_optimizer
from mtl_zoo.optimizers import LazyAdam, SparseAdagrad
from tests.optimizers import harness
from tests.optimizers.harness import ROWS, first_sizes, gradients, moved, small_model, step_of

CLASSES = [SparseAdagrad, LazyAdam]
EAGER = {"run_eagerly": True}
TASKS = [mz.Task.binary("click"), mz.Task.regression("price")]
IDS = np.random.default_rng(0).integers(0, 20, (16, 2))
APART = np.arange(32).reshape(16, 2)  # no row twice: Keras squares the slices of a row one by one
Y = {"click": (IDS[:, 0] % 2)[:, None], "price": IDS[:, 1:].astype("float32")}
MIRRORED = """
import sys
import keras, numpy as np, tensorflow as tf
from tests import test_table_rows
from tests.optimizers import harness
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
found = {}
for cls in test_table_rows.CLASSES:
    with strategy.scope():
        model = test_table_rows.fitted(cls(0.1))
        copies = [strategy.experimental_local_results(v.value) for v in test_table_rows.state(model)]
    for index, (one, other) in enumerate(copies):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
        found[f"{cls.__name__} {index}"] = one.numpy()
np.savez(sys.argv[1], **found)
"""


def state(model):
    return [*model.trainable_variables, *model.optimizer.variables]


def fitted(optimizer, layer=mz.layers.Embedding, epochs=2, ids=IDS, **options):
    """Return a small model of Keras after its `fit`."""
    model = small_model(layer)
    model.compile(optimizer, "mse", **options)
    model.fit(ids, Y["price"], batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return model


def trainer(optimizer, aggregator=None, **options):
    keras.utils.set_random_seed(0)
    x = keras.Input((2,), dtype="int64")
    features = keras.layers.Flatten()(mz.layers.Embedding(ROWS, 2, name="table")(x))
    model = keras.Model(x, {task.name: keras.layers.Dense(1, name=task.name)(features) for task in TASKS})
    result = mz.Trainer(model, TASKS, aggregator=aggregator)
    result.compile(optimizer, **options)
    return result


def values(variables):
    return [np.array(variable) for variable in variables]


@pytest.mark.parametrize("make", [*CLASSES, lambda rate: LazyAdam(rate, amsgrad=True, global_clipnorm=1.0)])
def test_nothing_in_a_step_of_keras_has_the_size_of_the_table(make):
    model = small_model()
    model.compile(make(0.1), "mse")
    assert ROWS not in first_sizes(step_of(model))


@pytest.mark.parametrize(
    ("layer", "optimizer"),
    [(mz.layers.Embedding, keras.optimizers.Adam), (keras.layers.Embedding, SparseAdagrad)],
)
def test_something_has_it_with_the_optimizer_or_the_layer_of_keras(layer, optimizer):
    model = small_model(layer)
    model.compile(optimizer(0.1), "mse")
    assert ROWS in first_sizes(step_of(model))


def test_nothing_in_a_step_of_a_trainer_has_the_size_of_the_table():
    model = trainer(LazyAdam(0.1))
    model.optimizer.build(model.model.trainable_variables)
    step = tf.function(lambda x, y: model.train_step((x, y)))
    batch = tf.constant(IDS), {name: tf.constant(y) for name, y in Y.items()}
    assert ROWS not in first_sizes(step.get_concrete_function(*batch))


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}, {"run_eagerly": True}], ids=str)
def test_fit_of_keras_with_adagrad_is_that_of_its_own_layer_and_optimizer(options):
    found = fitted(SparseAdagrad(0.1), ids=APART, **options)
    wanted = fitted(keras.optimizers.Adagrad(0.1), keras.layers.Embedding, ids=APART, **EAGER)
    harness.assert_close(values(state(found)), values(state(wanted)))


@pytest.mark.parametrize("aggregator", [None, mz.aggregators.MGDA])
def test_a_trainer_with_adagrad_does_as_with_that_of_keras(aggregator):
    found = []
    for cls in (SparseAdagrad, keras.optimizers.Adagrad):
        model = trainer(cls(0.1), aggregator and aggregator(), **EAGER)
        model.fit(IDS, Y, batch_size=8, shuffle=False, verbose=0, epochs=2)
        found.append(values(model.model.trainable_variables))
    harness.assert_close(*found)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_trainer_leaves_rows_alone_that_are_not_in_the_batch(cls):
    model = trainer({"shared": cls(0.1), "tasks": keras.optimizers.Adam(0.1)}, **EAGER)
    before = model.model.get_layer("table").get_weights()[0]
    model.fit(IDS, Y, batch_size=8, shuffle=False, verbose=0, epochs=2)
    after = model.model.get_layer("table").get_weights()[0]
    changed = np.flatnonzero((before != after).any(axis=1))
    np.testing.assert_array_equal(changed, np.unique(IDS))


@pytest.mark.parametrize("cls", CLASSES)
def test_a_loss_scale_changes_nothing(cls):
    found = fitted(keras.optimizers.LossScaleOptimizer(cls(0.1), initial_scale=8.0), **EAGER)
    harness.assert_close(
        values(found.trainable_variables), values(fitted(cls(0.1), **EAGER).trainable_variables)
    )
    scaled = keras.optimizers.LossScaleOptimizer(cls(0.1), initial_scale=8.0)
    table = keras.Variable(harness.table())
    scaled.apply([harness.slices([1], [[np.nan, 1.0]])], [table])
    np.testing.assert_array_equal(table, harness.table())
    assert float(scaled.dynamic_scale) == 4.0


@pytest.mark.parametrize("cls", CLASSES)
def test_a_fixed_loss_scale_is_refused(cls):
    with pytest.raises(
        ValueError, match=f"`loss_scale_factor` of {cls.__name__} must be `None`.*Received.*=8"
    ):
        moved(cls(0.1, loss_scale_factor=8.0), gradients())


@pytest.mark.parametrize("cls", CLASSES)
def test_settings_come_back(cls):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    optimizer = cls(schedule, epsilon=1e-3, clipnorm=2.0, weight_decay=0.1)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is cls
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_saved_training_goes_on_as_if_it_had_not_stopped(cls, tmp_path):
    model = fitted(cls(0.1), **EAGER)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is cls
    for one in (model, again):
        one.fit(IDS, Y["price"], batch_size=8, shuffle=False, verbose=0)
    for one, other in zip(values(state(model)), values(state(again)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_state_is_that_of_keras_and_can_be_taken_over(tmp_path):
    for cls, base in ((SparseAdagrad, keras.optimizers.Adagrad), (LazyAdam, keras.optimizers.Adam)):
        plain, ours = fitted(base(0.1), **EAGER), fitted(cls(0.1), epochs=1, **EAGER)
        plain.save_weights(tmp_path / "plain.weights.h5")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours.load_weights(tmp_path / "plain.weights.h5")
        for one, other in zip(values(state(ours)), values(state(plain)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_trainer_resumes(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    def fit(folder, *callbacks):
        model = trainer(LazyAdam(0.1), **EAGER)
        resume = mz.callbacks.Resume(tmp_path / folder, every=1)
        model.fit(IDS, Y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=[resume, *callbacks])
        return values([*model.model.variables, *model.optimizer.variables])

    whole = fit("whole")
    with pytest.raises(KeyboardInterrupt):
        fit("parts", Stop())
    for one, other in zip(fit("parts"), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_replicas_do_what_one_device_does(tmp_path):
    command = [sys.executable, "-c", MIRRORED, str(tmp_path / "found.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as found:
        for cls in CLASSES:
            wanted = values(state(fitted(cls(0.1), **EAGER)))
            harness.assert_close([found[f"{cls.__name__} {i}"] for i in range(len(wanted))], wanted)


def test_the_command_line_offers_them():
    family = FAMILIES["optimizer"]
    adagrad = make_optimizer(family.parse("sparse_adagrad:initial_accumulator_value=0.2"), 0.1)
    assert (type(adagrad), adagrad.initial_accumulator_value) == (SparseAdagrad, 0.2)
    lazy = make_optimizer(family.parse("LazyAdam:amsgrad=True,beta_1=0.8"), 0.1)
    assert (type(lazy), lazy.amsgrad, lazy.beta_1) == (LazyAdam, True, 0.8)
