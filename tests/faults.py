"""Kills trainings at random moments and sees that they end with the same bits.

    python -m tests.faults [KILLS] [SEED]

Every trial starts a training in a process of its own and ends it by SIGKILL: while a checkpoint is written,
or within 0.2 s after, when some newest checkpoints are also cut short. It runs the training again and
compares all variables and the history with those of a training without interruption. Exit code 0 says that
all agree.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pathlib
import random
import shutil
import signal
import tempfile
import time
import warnings

import keras
import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.callbacks import Resume

TASKS = (mz.Task.classification("kind", 3), mz.Task.regression("size"))
EPOCHS, STEPS, BATCH, EVERY = 4, 12, 8, 2
FAULTS = ("while saving", "truncated", "between saves")
CHECKPOINTS = "checkpoint-*.npz"


def data():
    """Return a dataset that is shuffled before its cache and after it, and its examples."""
    x = np.random.default_rng(0).normal(size=(STEPS * BATCH, 6)).astype("float32")
    labels = {"kind": x[:, :3].argmax(axis=1), "size": x.sum(axis=1)}
    dataset = tf.data.Dataset.from_tensor_slices((x, labels)).shuffle(50, seed=1).cache()
    return dataset.shuffle(50, seed=2).batch(BATCH), (x, labels)


def make_trainer():
    """Return a trainer with everything that has a state: statistics, dropout, balancer, random orders."""
    keras.utils.set_random_seed(0)

    def stage(x, name):
        x = keras.layers.Dense(16, activation="tanh", name=f"{name}_dense")(x)
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
        return keras.layers.Dropout(0.3, name=f"{name}_dropout")(x)

    model = mz.architectures.hard_sharing(keras.Input((6,)), TASKS, [stage, stage])
    trainer = mz.Trainer(model, TASKS, mz.balancers.DWA(), mz.aggregators.PCGrad(seed=0))
    trainer.compile(keras.optimizers.Adam(1e-2))
    return trainer


def callbacks(directory):
    """Return `Resume` and others that remember something."""
    return [
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=0.1),
        keras.callbacks.EarlyStopping("val_loss", patience=EPOCHS, restore_best_weights=True),
        Resume(directory, every=EVERY),
    ]


def train(directory, output=None):
    """Train, going on where an earlier call was interrupted; return all variables and the history."""
    dataset, validation_data = data()
    trainer = make_trainer()
    history = trainer.fit(
        dataset,
        validation_data=validation_data,
        epochs=EPOCHS,
        callbacks=callbacks(directory),
        verbose=0,
    ).history
    variables = [*trainer.variables, *trainer.optimizer.variables]
    found = {f"{index} {v.path}": keras.ops.convert_to_numpy(v) for index, v in enumerate(variables)}
    found |= {name: np.array(values) for name, values in history.items()}
    if output:
        np.savez(output, **found)
    return found


def same(one, other):
    """Return whether two results of `train` agree in every bit."""
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


def main(kills=20, seed=None):
    """Make the trials; return how many failed."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    chance = random.Random(seed)
    print(f"{kills} kills, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        expected = _result(root / "reference")
        failed = sum(not _survives(root / str(k), chance, expected, k) for k in range(kills))
    print(f"{kills - failed} of {kills} bit-identical", flush=True)
    return failed


def _survives(root, chance, expected, index):
    fault = FAULTS[index % len(FAULTS)]
    backup = root / "backup"
    while not _kill(root, chance, fault):  # it was over before: another try
        shutil.rmtree(root)
    left = sorted(path.name[:17] for path in backup.glob("*"))
    if fault == "truncated" and left:
        newest = max(backup.glob(CHECKPOINTS), default=None)
        if newest:
            os.truncate(newest, chance.randrange(newest.stat().st_size))
    good = same(_result(root), expected)
    print(f"  {'same' if good else 'OTHER'}: {fault}, with {left}", flush=True)
    shutil.rmtree(root)
    return good


def _kill(root, chance, fault):
    """Start a training and kill it; return whether it was still at work."""
    process = _start(root)
    _wait_for_save(process, root / "backup", chance.randrange(EPOCHS * STEPS // EVERY))
    time.sleep(chance.uniform(0, 0.004 if fault == "while saving" else 0.2))
    os.kill(process, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


def _wait_for_save(process, backup, number):
    """Return in the middle of writing a checkpoint, at the earliest after some others."""
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        numbers = [int(path.name.split("-")[1]) for path in backup.glob(CHECKPOINTS)]
        if max(numbers, default=0) >= number and any(backup.glob("partial*")):
            return


def _result(root):
    """Train to the end in a process of its own; return what `train` returns."""
    _, status = os.waitpid(_start(root), 0)
    if status:
        raise RuntimeError(f"A training must end well. Received: exit status {status}")
    with np.load(root / "result.npz") as found:
        return dict(found)


def _start(root):
    """Start a training in a copy of this process, in which TensorFlow is imported and did nothing yet."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        root.mkdir(exist_ok=True)
        sys.stderr = (root / "stderr").open("a")
        warnings.simplefilter("always")
        train(root / "backup", root / "result.npz")
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
            print((root / "stderr").read_text(), flush=True)
        os._exit(code)


if __name__ == "__main__":
    sys.exit(min(main(*map(int, sys.argv[1:])), 1))
