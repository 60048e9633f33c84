"""Two models of single tasks on `multi_digits`, merged into one, beside joint training.

Per seed a network learns both digits for one epoch. From there one copy goes on with the left digit, one
with the right, and one with both. The first two are merged by every method, with its default scale and with
the one that is best on the validation data.

    python benchmarks/merging.py [--seeds=0,1,2] [--epochs=2] [--learning_rate=5e-4]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np
from absl import app, flags

import mtl_zoo as mz

SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
EPOCHS = flags.DEFINE_integer("epochs", 2, "Epochs of every training after the first.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Examples in a step.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 5e-4, "Learning rate of Adam after the first training.")

DATA = mz.datasets.multi_digits
METHODS = ("average", "task_arithmetic", "ties", "tsv_m", "iso_c", "wudi")
FIRST_RATE = 1e-3  # Adam's, in the first epoch


def train(tasks, data, learning_rate, epochs, base=None):
    """Return a model of some tasks, trained from scratch or from where another model of them ended."""
    model = mz.architectures.hard_sharing(DATA.inputs(), tasks, DATA.encoder())
    if base is not None:
        for layer in model.layers:
            layer.set_weights(base.get_layer(layer.name).get_weights())
    trainer = mz.Trainer(model, tasks)
    trainer.compile(keras.optimizers.Adam(learning_rate))
    trainer.fit(data, epochs=epochs, verbose=0)
    return model


def trained(seed):
    """Return the base and the models of the left, of the right and of both digits."""
    keras.utils.set_random_seed(seed)
    data = DATA.load("train", BATCH_SIZE.value, seed=seed)
    left, right = DATA.TASKS
    base = train(DATA.TASKS, data, FIRST_RATE, 1)
    return base, *(
        train(tasks, data, LEARNING_RATE.value, EPOCHS.value, base)
        for tasks in ([left], [right], [left, right])
    )


def accuracies(model, tasks, batches):
    """Return the accuracy of every task in percent."""
    right = [[np.argmax(y, -1) == labels[task] for task, y in model(x).items()] for x, labels in batches]
    found = dict(zip(model.output, np.concatenate(right, axis=1).mean(axis=1), strict=True))
    return [100 * float(found[task.name]) for task in tasks]


def run(seed):
    """Return the mean accuracy on the test data of every way, and the scales that were chosen."""
    base, *singles, joint = trained(seed)
    validation, test = DATA.load("validation", 500), list(DATA.load("test", 500))
    pairs = zip(singles, DATA.TASKS, strict=True)
    found = {
        "before": accuracies(base, DATA.TASKS, test),
        "one model per task": [x for model, task in pairs for x in accuracies(model, [task], test)],
        "joint training": accuracies(joint, DATA.TASKS, test),
    }
    scales = {}
    for method in METHODS:
        found[method] = accuracies(mz.transfer.merge(base, singles, method), DATA.TASKS, test)
        tuned = mz.transfer.tune(base, singles, DATA.TASKS, validation, method)
        scales[method] = tuned.scale
        found[f"{method}, tuned"] = accuracies(tuned.model, DATA.TASKS, test)
    return {name: statistics.mean(values) for name, values in found.items()}, scales


def cell(runs, name):
    """Return mean and standard deviation over seeds."""
    values = [found[name] for found, _ in runs]
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def main(argv):
    del argv
    start = time.process_time()
    runs = [run(int(seed)) for seed in SEEDS.value]
    print("| | default scale | tuned scale | scales |\n|---|---|---|---|")
    print(f"| before | {cell(runs, 'before')} | | |")
    print(f"| one model per task | {cell(runs, 'one model per task')} | | |")
    for method in METHODS:
        scales = ", ".join(f"{scales[method]}" for _, scales in runs)
        print(f"| `{method}` | {cell(runs, method)} | {cell(runs, f'{method}, tuned')} | {scales} |")
    print(f"| joint training | {cell(runs, 'joint training')} | | |")
    print(f"{time.process_time() - start:.0f} s of the processor")


if __name__ == "__main__":
    app.run(main)
