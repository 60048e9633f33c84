"""Shared-bottom against MMoE as two regression tasks grow less correlated (Ma et al., 2018, section 3).

The tasks are those of `mtl_zoo.datasets.correlated_regression`. Both networks have the paper's sizes and as
many parameters: 8 experts of 16 units with a gate per task against one layer of 113 + 14 units (which pays
for the gates), and a tower of 8 units per task. A seed draws the task, the examples and the network; both
networks see the same.

    python benchmarks/mmoe_correlation.py [--seeds=10] [--output=mmoe_correlation.png]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags
from matplotlib.figure import Figure

import mtl_zoo as mz

CORRELATIONS = flags.DEFINE_list("correlations", ["0.5", "0.9", "1.0"], "Cosines of the tasks' weights.")
SEEDS = flags.DEFINE_integer("seeds", 10, "Number of seeds.")
EPOCHS = flags.DEFINE_integer("epochs", 30, "Epochs.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Examples in a step.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Learning rate of Adam.")
OUTPUT = flags.DEFINE_string("output", None, "File of the picture.")

DATA = mz.datasets.correlated_regression
TASKS = DATA.TASKS


def tower(x, task):
    """Return a task's tower of 8 units and its output."""
    x = keras.layers.Dense(8, activation="relu", name=f"{task.name}_tower")(x)
    return mz.heads.head(x, task)


def build(name):
    inputs = DATA.inputs()
    if name == "mmoe":
        return mz.architectures.mmoe(inputs, TASKS, mz.encoders.mlp(16), tower, num_experts=8)
    return mz.architectures.hard_sharing(inputs, TASKS, mz.encoders.mlp(113 + 14), tower)


def run(name, correlation, seed):
    """Train once; return the mean test loss of both tasks over the variance of the labels."""
    train, validation, test = DATA.arrays(correlation, seed).values()
    keras.utils.set_random_seed(seed)
    trainer = mz.Trainer(build(name), TASKS)
    trainer.compile(keras.optimizers.Adam(LEARNING_RATE.value), steps_per_execution=20)
    best = keras.callbacks.EarlyStopping(patience=EPOCHS.value, restore_best_weights=True)
    trainer.fit(
        *train,
        batch_size=BATCH_SIZE.value,
        epochs=EPOCHS.value,
        validation_data=validation,
        callbacks=[best],
        verbose=0,
    )
    losses = trainer.evaluate(*test, batch_size=5000, verbose=0, return_dict=True)
    return np.mean([losses[f"{task.name}_loss"] / np.var(test[1][task.name]) for task in TASKS])


def mean_and_error(values):
    return np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))


def draw_picture(results, path):
    figure = Figure((5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for name, rows in results.items():
        means, errors = np.transpose([mean_and_error(row) for row in rows.values()])
        axes.errorbar(list(map(float, rows)), means, errors, marker="o", capsize=3, label=name)
    axes.set(xlabel="correlation of the tasks", ylabel="test loss ÷ variance")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main(argv):
    del argv
    results = {"hard_sharing": {}, "mmoe": {}}
    sizes = ", ".join(f"{name} {build(name).count_params():,}" for name in results)
    print(f"Parameters: {sizes}. Mean test loss ÷ variance ± standard error, {SEEDS.value} seeds.\n")
    print(
        "| correlation | hard_sharing | mmoe | hard_sharing - mmoe, same seeds |\n|---|---|---|---|",
        flush=True,
    )
    for correlation in CORRELATIONS.value:
        for name, rows in results.items():
            rows[correlation] = np.array([run(name, float(correlation), seed) for seed in range(SEEDS.value)])
            keras.backend.clear_session()
        rows = [rows[correlation] for rows in results.values()]
        cells = [mean_and_error(values) for values in (*rows, rows[0] - rows[1])]
        print("|", " | ".join([correlation, *(f"{m:.4f} ± {e:.4f}" for m, e in cells)]), "|", flush=True)
    if OUTPUT.value:
        draw_picture(results, OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
