"""Time of a step with large embeddings, and its peak memory: the number of rows should not matter.

A model of two embeddings, a dense layer and T tasks, in plain Keras and in the trainer. Both numbers of rows,
and all rows of a table, run in turns in one process, so that a ratio holds while the machine's speed drifts;
the figures are medians over the rounds. Every step has other indices. Peak memory is that of a process each.

    python benchmarks/embeddings.py [--sizes=10000,1000000] [--rounds=5] [--steps=30] [--memory_tasks=8]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib
import re
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import mtl_zoo as mz

SIZES = flags.DEFINE_list("sizes", ["10000", "1000000"], "Two numbers of rows of an embedding.")
WIDTH = flags.DEFINE_integer("width", 32, "Size of a vector.")
TASKS = flags.DEFINE_integer("tasks", 2, "Number of tasks where time is measured.")
BATCH = flags.DEFINE_integer("batch_size", 256, "Examples in a step.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds of every row.")
STEPS = flags.DEFINE_integer("steps", 30, "Steps in a round.")
OPTIMIZERS = flags.DEFINE_list("optimizers", ["sgd", "adagrad", "adam"], "Tables, of those in ROWS.")
MEMORY_TASKS = flags.DEFINE_integer(
    "memory_tasks", 8, "Number of tasks where memory is measured; 0: not at all."
)
AGGREGATORS = flags.DEFINE_list("aggregators", ["PCGrad", "UPGrad"], "Methods whose memory is measured.")
PEAK_OF = flags.DEFINE_string("peak_of", None, "Print the peak memory of a training alone: method or `none`.")


class EpochTimer(keras.callbacks.Callback):
    """Keeps the seconds of the last epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start


def make_tasks(number):
    return [mz.Task.binary(f"task_{index}") for index in range(number)]


def make_data(num_rows, tasks):
    rng = np.random.default_rng(0)
    shape = (STEPS.value * BATCH.value, 1)
    ids = {name: rng.integers(0, num_rows, shape) for name in ("user", "item")}
    labels = {task.name: rng.integers(0, 2, shape).astype("float32") for task in tasks}
    return tf.data.Dataset.from_tensor_slices((ids, labels)).batch(BATCH.value).cache().repeat()


def make_model(num_rows, tasks, embedding):
    def embed(x, name):
        found = [embedding(num_rows, WIDTH.value, name=f"{name}_{key}")(ids) for key, ids in x.items()]
        return keras.layers.Flatten()(keras.layers.Concatenate()(found))

    inputs = {name: keras.Input((1,), dtype="int64", name=name) for name in ("user", "item")}
    return mz.architectures.hard_sharing(inputs, tasks, [embed, *mz.encoders.mlp(64)])


def plain_keras(optimizer, embedding):
    """Return a function that makes a Keras model compiled on the sum of the losses."""

    def make(num_rows, tasks):
        model = make_model(num_rows, tasks, embedding)
        losses = {task.name: keras.losses.BinaryCrossentropy(from_logits=True) for task in tasks}
        model.compile(optimizer(), loss=losses)
        return model

    return make


def trainer(optimizer, aggregator=None):
    """Return a function that makes a trainer."""

    def make(num_rows, tasks):
        model = make_model(num_rows, tasks, mz.layers.Embedding)
        result = mz.Trainer(model, tasks, aggregator=aggregator and aggregator())
        result.compile(optimizer())
        return result

    return make


def rows_of(optimizer, ours):
    """Return the rows of the table of an optimizer of Keras, and ours of its kind."""
    return {
        f"Keras fit, its Embedding, {optimizer.__name__}": plain_keras(optimizer, keras.layers.Embedding),
        f"Keras fit, mz.layers.Embedding, {ours.__name__}": plain_keras(ours, mz.layers.Embedding),
        f"Trainer, {ours.__name__}": trainer(ours),
        f"Trainer, PCGrad, {ours.__name__}": trainer(ours, mz.aggregators.PCGrad),
    }


ROWS = {
    "sgd": {
        "Keras fit, its Embedding, SGD": plain_keras(keras.optimizers.SGD, keras.layers.Embedding),
        "Keras fit, mz.layers.Embedding, SGD": plain_keras(keras.optimizers.SGD, mz.layers.Embedding),
    },
    "adagrad": rows_of(keras.optimizers.Adagrad, mz.optimizers.SparseAdagrad),
    "adam": rows_of(keras.optimizers.Adam, mz.optimizers.LazyAdam),
}


def fit_timer(make, num_rows):
    """Return a function that trains for a round and returns milliseconds per step."""
    tasks = make_tasks(TASKS.value)
    model, data = make(num_rows, tasks), make_data(num_rows, tasks)

    def run():
        timer = EpochTimer()
        model.fit(data, steps_per_epoch=STEPS.value, verbose=0, callbacks=[timer], shuffle=False)
        return 1000 * timer.seconds / STEPS.value

    return run


def measure(timers):
    """Run all timers in turns; return the median of each, after one round that is not counted."""
    rounds = [{key: run() for key, run in timers.items()} for _ in range(ROUNDS.value + 1)][1:]
    return {key: statistics.median(times[key] for times in rounds) for key in timers}


def table(rows):
    few, many = map(int, SIZES.value)
    timers = {(name, size): fit_timer(make, size) for name, make in rows.items() for size in (few, many)}
    times = measure(timers)
    print(f"\n{TASKS.value} tasks, two embeddings of V x {WIDTH.value}, batch {BATCH.value}; ms per step")
    print(f"| row | V = {few:,} | V = {many:,} | ÷ |\n|---|---|---|---|")
    for name in rows:
        small, large = times[name, few], times[name, many]
        print(f"| {name} | {small:.2f} | {large:.2f} | {large / small:.2f} |", flush=True)
    plain, joined = (
        [name for name in rows if name.startswith(start)] for start in ("Trainer, ", "Trainer, PC")
    )
    if joined:
        ratio = times[joined[0], many] / times[plain[0], many]
        print(f"\nPCGrad ÷ no aggregator, V = {many:,}: {ratio:.2f}", flush=True)


def peak(name):
    """Return the MiB that a process of its own takes at most to train with an aggregator, or none."""
    command = [sys.executable, __file__, *sys.argv[1:], f"--peak_of={name}"]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(found.split()[-1])


def print_peak(name):
    """Train for some steps, and print the largest memory of this process so far, in MiB."""
    aggregator = None if name == "none" else getattr(mz.aggregators, name)
    tasks, size = make_tasks(MEMORY_TASKS.value), int(SIZES.value[-1])
    model = trainer(mz.optimizers.SparseAdagrad, aggregator)(size, tasks)
    model.fit(make_data(size, tasks), steps_per_epoch=3, verbose=0, shuffle=False)
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024)


def memory_table():
    peaks = {name: peak(name) for name in ("none", *AGGREGATORS.value)}
    size = f"{int(SIZES.value[-1]):,} x {WIDTH.value}"
    print(f"\n{MEMORY_TASKS.value} tasks, two embeddings of {size}, SparseAdagrad; peak memory")
    print("| aggregator | MiB | ÷ none |\n|---|---|---|")
    for name, found in peaks.items():
        print(f"| {name} | {found:.0f} | {found / peaks['none']:.2f} |", flush=True)


def main(argv):
    del argv
    if PEAK_OF.value:
        print_peak(PEAK_OF.value)
        return
    for name in OPTIMIZERS.value:
        table(ROWS[name])
        keras.backend.clear_session()
    if MEMORY_TASKS.value:
        memory_table()


if __name__ == "__main__":
    app.run(main)
