"""Size and cost of every architecture relative to hard sharing, with its default arguments.

Parameters are counted with the heads. The step is `Trainer.train_step` in a graph, with the sum of the losses
and Adam; all architectures take turns, so that ratios hold while the machine's speed drifts, and the median
over the rounds of the ratio within a round counts. Tasks are binary, so that every architecture can serve
them.

    python benchmarks/architectures.py [--tasks=2,5,10] [--rounds=5]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import mtl_zoo as mz
from mtl_zoo.experiments.choices import FAMILIES

TASKS = flags.DEFINE_list("tasks", ["2", "5", "10"], "Numbers of tasks.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds.")
STEPS = flags.DEFINE_integer("steps", 10, "Steps in a round.")
BATCH = flags.DEFINE_integer("batch_size", 128, "Examples in a step.")

BASE = "hard_sharing"
SHAPE, ENCODER = (28, 28, 3), [*mz.encoders.convnet(32, 64), *mz.encoders.mlp(128)]


def make_timer(builder, num_tasks):
    """Return the number of parameters, and a function that trains for a round and returns its seconds."""
    tasks = [mz.Task.binary(f"task_{index}") for index in range(num_tasks)]
    model = builder(keras.Input(SHAPE), tasks, ENCODER)
    trainer = mz.Trainer(model, tasks)
    trainer.compile(keras.optimizers.Adam(1e-4))
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(BATCH.value, *SHAPE)), "float32")
    labels = {task.name: tf.constant(rng.integers(0, 2, BATCH.value)) for task in tasks}
    step = tf.function(lambda: trainer.train_step((x, labels))["loss"], autograph=False)
    step()

    def run():
        start = time.perf_counter()
        for _ in range(STEPS.value):
            loss = step()
        loss.numpy()
        return time.perf_counter() - start

    return model.count_params(), run


def measure(num_tasks):
    """Return pairs by architecture of parameters and step time, relative to those of hard sharing."""
    builders = FAMILIES["architecture"].members()
    del builders["escm2"]  # takes three tasks of kinds of its own
    rows = {name: make_timer(builder, num_tasks) for name, builder in builders.items()}
    rounds = [{name: run() for name, (_, run) in rows.items()} for _ in range(ROUNDS.value)]
    return {
        name: (
            parameters / rows[BASE][0],
            statistics.median(times[name] / times[BASE] for times in rounds),
        )
        for name, (parameters, _) in rows.items()
    }


def main(argv):
    del argv
    tables = [measure(int(num_tasks)) for num_tasks in TASKS.value]
    heads = [f"{what}, T = {number}" for number in TASKS.value for what in ("parameters", "step")]
    print("|", " | ".join(["architecture", *heads]), "|")
    print("|" + "---|" * (len(heads) + 1))
    for name in tables[0]:
        print("|", " | ".join([f"`{name}`", *(f"{x:.2f}" for table in tables for x in table[name])]), "|")


if __name__ == "__main__":
    app.run(main)
