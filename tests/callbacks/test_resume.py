import signal
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.callbacks import _position, checkpoints
from mtl_zoo.callbacks.resume import Resume
from tests import faults

EAGER = {"run_eagerly": True}
X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
LABELS = {"size": X.sum(axis=1)}
TASKS = [mz.Task.regression("size")]


class At(keras.callbacks.Callback):
    """Does something at the beginning of a step, counted over all epochs."""

    def __init__(self, step, action):
        super().__init__()
        self.step, self.action, self.count = step, action, 0

    def on_train_batch_begin(self, batch, logs=None):
        if self.count == self.step:
            self.action()
        self.count += 1


def fail():
    raise ZeroDivisionError


def fit(*callbacks, x=None, epochs=2, **arguments):
    """Train a small model with momentum, dropout and a schedule; return the trainer and what is logged."""
    keras.utils.set_random_seed(0)
    dropout = lambda x, name: keras.layers.Dropout(0.5, name=name)(x)  # noqa: E731
    model = mz.architectures.hard_sharing(keras.Input((4,)), TASKS, [*mz.encoders.mlp(8), dropout])
    trainer = mz.Trainer(model, TASKS)
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.9)
    trainer.compile(keras.optimizers.SGD(rate, momentum=0.9), **EAGER)
    given = {"x": X, "y": LABELS, "batch_size": 4} if x is None else {"x": x}
    history = trainer.fit(**given, epochs=epochs, callbacks=list(callbacks), verbose=0, **arguments)
    return [np.array(v) for v in [*trainer.variables, *trainer.optimizer.variables]], history.history


def assert_same(one, other):
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[1] == other[1]


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, LABELS)).shuffle(12, seed=1).batch(4)


def interleaved():
    return mz.datasets.interleave({"size": dataset()}, batch_size=4, steps=3)


def drawn_again():
    return dataset().repeat()


DATA = {
    "arrays": (lambda: None, {}),
    "shuffled": (dataset, {}),
    "cached": (lambda: dataset().cache(), {}),
    "repeated": (drawn_again, {"steps_per_epoch": 3}),
    "interleaved": (interleaved, {}),
    "unknown length": (lambda: dataset().filter(lambda x, y: True), {}),
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    ("kind", "every", "place"),
    [
        *((kind, 2, "epoch 2, after step 1") for kind in DATA if kind != "unknown length"),
        ("unknown length", 3, "epoch 1, after step 3"),  # what follows is no step, but the end
        ("cached", "epoch", "epoch 2"),
    ],
)
def test_every_kind_of_data_goes_on_at_its_place(tmp_path, kind, every, place, capsys):
    make, arguments = DATA[kind]
    expected = fit(x=make(), epochs=2, **arguments)
    with pytest.raises(ZeroDivisionError):
        fit(Resume(tmp_path, every=every), At(5, fail), x=make(), epochs=2, **arguments)
    assert_same(fit(Resume(tmp_path, every=every), x=make(), epochs=2, **arguments), expected)
    assert f"Training goes on in {place}, as saved in '{tmp_path}'." in capsys.readouterr().err
    assert not tmp_path.exists()


def test_few_batches_are_read_again(monkeypatch):
    def read(kind):
        steps = []
        epochs = types.SimpleNamespace(
            _distributed_dataset=kind, steps_per_epoch=None, num_batches=3, steps_per_execution=1
        )
        epochs._enumerate_iterator = lambda: ((k, k, iter([steps.append(k) or k])) for k in range(3))
        monkeypatch.setattr(_position, "next", lambda data, end: steps.append("read") or 1, raising=False)
        _position.forward(epochs, 3, 2)
        rest = [begin for begin, _, _ in epochs._enumerate_iterator()]
        assert rest == [2]
        return steps.count("read")

    assert read(dataset()) == 3 * 1 + 2
    assert read(dataset().cache()) == 3 + 2 * 1 + 2
    assert read(dataset().repeat(2)) == read(interleaved()) == 3 * 3 + 2


def test_callbacks_go_on(tmp_path):
    def some():
        return [
            keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=100.0, factor=0.5),
            keras.callbacks.EarlyStopping("loss", patience=3, min_delta=100.0, restore_best_weights=True),
        ]

    def trained(*callbacks):
        keras.utils.set_random_seed(0)
        model = mz.architectures.hard_sharing(keras.Input((4,)), TASKS, mz.encoders.mlp(8))
        trainer = mz.Trainer(model, TASKS)
        trainer.compile(keras.optimizers.SGD(0.01), **EAGER)
        history = trainer.fit(X, LABELS, batch_size=4, epochs=9, callbacks=[*callbacks], verbose=0).history
        return [np.array(v) for v in trainer.variables], history

    expected = trained(*some())
    assert len(expected[1]["loss"]) == 4
    assert expected[1]["learning_rate"][-1] < 0.01
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            trained(*some(), Resume(tmp_path, every=1), At(5, fail))
    assert_same(trained(*some(), Resume(tmp_path, every=1)), expected)


@pytest.mark.parametrize(
    ("signum", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_finishes_the_step_and_saves(tmp_path, capsys, signum, error):
    expected = fit()
    with pytest.raises(error) as caught:
        fit(At(4, lambda: signal.raise_signal(signum)), Resume(tmp_path))
    said = capsys.readouterr().err if signum == signal.SIGTERM else str(caught.value)
    assert said.strip() == (
        f"Training was interrupted after step 2 of epoch 2 and is saved in '{tmp_path}'. "
        "Run the same command again to go on."
    )
    assert checkpoints.read(tmp_path)[1]["batch"] == 2
    assert_same(fit(Resume(tmp_path)), expected)


def test_the_end_can_be_kept(tmp_path):
    best = [keras.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True) for _ in range(2)]
    expected = fit(best[0], Resume(tmp_path, delete_checkpoint=False))
    again = Resume(tmp_path, delete_checkpoint=False)
    assert_same(fit(best[1], again, At(0, fail)), expected)
    assert best[0].best_epoch == best[1].best_epoch
    again.clear()
    assert not tmp_path.exists()


def test_a_full_disk_stops_training(tmp_path):
    def fill():
        (tmp_path / checkpoints.PARTIAL).symlink_to("/dev/full")

    with pytest.raises(OSError, match="must find room"):
        fit(At(4, fill), Resume(tmp_path, every=1))
    assert checkpoints.read(tmp_path)[1]["batch"] == 1
    assert_same(fit(Resume(tmp_path)), fit())


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="must be a directory that can be written"):
        fit(Resume(tmp_path / "file"))


def test_another_training_is_refused(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fit(Resume(tmp_path, recipe={"seed": 0, "tasks": ("a",)}), At(4, fail))
    with pytest.raises(ValueError, match=r"must go on with seed=0; .* Received: seed=1"):
        fit(Resume(tmp_path, recipe={"seed": 1, "tasks": ["a"]}))
    Resume(tmp_path, recipe={"seed": 0, "tasks": ("a",)}).clear_other()
    with pytest.raises(ValueError, match=r"the callbacks \['History'\]; .* Received: \['EarlyStopping'"):
        fit(Resume(tmp_path, recipe={"seed": 0, "tasks": ["a"]}), keras.callbacks.EarlyStopping("loss"))
    Resume(tmp_path, recipe={"seed": 1}).clear_other()
    assert not tmp_path.exists()


@pytest.mark.parametrize("kind", ["shuffle", "map", "arrays"])
def test_an_order_without_seed_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(keras.utils, "set_random_seed", lambda seed: tf.random.set_seed(None))
    tf.random.set_seed(None)
    plain = tf.data.Dataset.from_tensor_slices((X, LABELS))
    x = {
        "shuffle": lambda: plain.shuffle(12).batch(4),
        "map": lambda: plain.map(lambda x, y: (x + tf.random.uniform(()), y)).batch(4),
        "arrays": lambda: None,
    }[kind]()
    with pytest.raises(ValueError, match="must be the same each time"):
        fit(Resume(tmp_path), x=x)
    if kind == "arrays":
        fit(Resume(tmp_path), shuffle=False)


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "step"])
def test_every_is_epoch_or_a_number(every):
    with pytest.raises(ValueError, match="must be 'epoch' or a positive integer"):
        Resume("x", every=every)


def test_keras_own_fit_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"must be given to `mtl_zoo\.Trainer\.fit`"):
        model.fit(X, X[:, 0], callbacks=[Resume(tmp_path)], verbose=0)


def test_kills_end_with_the_same_bits():
    command = [sys.executable, "-m", "tests.faults", "2", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 bit-identical" in done.stdout


def test_a_difference_in_one_bit_is_seen():
    one = {"weight": np.array([1.0, 2.0])}
    assert faults.same(one, {"weight": np.array([1.0, 2.0])})
    assert not faults.same(one, {"weight": np.array([1.0, np.nextafter(2.0, 3.0)])})
    assert not faults.same(one, {})
