"""One model for every trade-off against separate models on `multi_digits`, and what is served from an export.

The encoder is small and the epochs are few, so that the two digits compete for it. A model of `palora` is
trained once; five models, `hard_sharing` with the same encoder, are trained with the weights 0, 0.25, 0.5,
0.75 and 1 of the left digit (`Static`), each for as many steps. Fronts are of accuracies on the test split,
and their hypervolumes are measured from the accuracy of a guess, 0.1.

    python benchmarks/trade_offs.py [--epochs=4] [--filters=4,8] [--units=16] [--output=trade_offs.png]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
from absl import app, flags
from scipy.stats import spearmanr

import mtl_zoo as mz

EPOCHS = flags.DEFINE_integer("epochs", 4, "Epochs of each model.")
FILTERS = flags.DEFINE_list("filters", ["4", "8"], "Filters of the convolutions.")
UNITS = flags.DEFINE_integer("units", 16, "Units of the dense layer.")
RANK = flags.DEFINE_integer("rank", 4, "Rank of the adapters.")
ALPHA = flags.DEFINE_float("alpha", 8.0, "Factor of the adapters, divided by the rank.")
CONCENTRATION = flags.DEFINE_float("concentration", 0.15, "Concentration of the draws.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 5e-3, "Learning rate of Adam at the start.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Examples in a step.")
SEED = flags.DEFINE_integer("seed", 0, "Seed.")
OUTPUT = flags.DEFINE_string("output", None, "Where to write a picture of both fronts; none by default.")

DATA = mz.datasets.multi_digits
SHARES = np.linspace(0, 1, 11)  # of the left digit
STATIC = (0.0, 0.25, 0.5, 0.75, 1.0)
METRICS = ("left_accuracy", "right_accuracy")
SIGNS, REFERENCE = (1, 1), (0.1, 0.1)
SERVE = """
import json, sys
import numpy as np
import tensorflow as tf
path, data, shares = sys.argv[1], np.load(sys.argv[2]), json.loads(sys.argv[3])
serve, points = tf.saved_model.load(path).signatures["serving_default"], []
for share in shares:
    rows = np.tile([share, 1 - share], (len(data["image"]), 1)).astype("float32")
    found = serve(image=tf.constant(data["image"]), preferences=tf.constant(rows))
    points.append([float(np.mean(np.argmax(found[name], 1) == data[name])) for name in ("left", "right")])
assert "mtl_zoo" not in sys.modules
print(json.dumps(points))
"""


def load(split):
    return DATA.load(split, BATCH_SIZE.value, seed=SEED.value)


def network():
    keras.utils.set_random_seed(SEED.value)
    encoder = [*mz.encoders.convnet(*map(int, FILTERS.value)), *mz.encoders.mlp(UNITS.value)]
    return mz.architectures.hard_sharing(DATA.inputs(), DATA.TASKS, encoder)


def train(model, training, balancer=None):
    """Return a trained `Trainer`, and the seconds of the processor that it took."""
    start, trainer = time.process_time(), mz.Trainer(model, DATA.TASKS, balancer)
    steps = EPOCHS.value * int(training.cardinality())
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE.value, steps)
    trainer.compile(keras.optimizers.Adam(schedule))
    trainer.fit(training, epochs=EPOCHS.value, verbose=0)
    return trainer, time.process_time() - start


def separate():
    """Return the points of separate models, and their seconds in all."""
    points, total = {}, 0.0
    for share in STATIC:
        trainer, seconds = train(network(), load("train"), mz.balancers.Static([share, 1 - share]))
        log = trainer.evaluate(load("test"), verbose=0, return_dict=True)
        points[f"static {share}"], total = [log[name] for name in METRICS], total + seconds
    return points, total


def together():
    """Return the trainer of one model for every trade-off, its points, and its seconds."""
    training = load("train")
    steps = EPOCHS.value * int(training.cardinality()) // 2
    model = mz.transfer.palora(
        network(), DATA.TASKS, RANK.value, ALPHA.value, None, steps, CONCENTRATION.value, SEED.value
    )
    trainer, seconds = train(model, mz.transfer.with_preferences(training, model))
    logs = mz.transfer.sweep(trainer, load("test"), [[share, 1 - share] for share in SHARES])
    points = {
        f"{share:.1f}": [log[name] for name in METRICS] for share, log in zip(SHARES, logs, strict=True)
    }
    return trainer, points, seconds


def served(model):
    """Return the points that an export answers in a process without this library."""
    images, labels = zip(*load("test").as_numpy_iterator(), strict=True)
    arrays = {task.name: np.concatenate([part[task.name] for part in labels]) for task in DATA.TASKS}
    with tempfile.TemporaryDirectory() as folder:
        mz.exporting.saved_model(model, DATA.TASKS, f"{folder}/exported")
        np.savez(f"{folder}/test.npz", image=np.concatenate(images), **arrays)
        arguments = [f"{folder}/exported", f"{folder}/test.npz", json.dumps(SHARES.tolist())]
        command = [sys.executable, "-c", SERVE, *arguments]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def picture(points, title):
    front = mz.evaluation.pareto_front(list(points.values()), SIGNS)
    best = [name for name, is_best in zip(points, front, strict=True) if is_best]
    return mz.plots.trade_off(points, best, METRICS, SIGNS, title)


def main(argv):
    del argv
    trainer, points, seconds = together()
    others, total = separate()
    volumes = [mz.evaluation.hypervolume(list(some.values()), REFERENCE, SIGNS) for some in (points, others)]
    print("| preferences | left accuracy | right accuracy |\n|---|---|---|")
    for name, (left, right) in [*points.items(), *others.items()]:
        print(f"| {name} | {left:.4f} | {right:.4f} |")
    counts = [trainer.model.count_params(), len(STATIC) * network().count_params()]
    print("\n| | hypervolume | parameters | processor seconds |\n|---|---|---|---|")
    print(f"| `palora` | {volumes[0]:.4f} | {counts[0]:,} | {seconds:.0f} |")
    print(f"| {len(STATIC)} models | {volumes[1]:.4f} | {counts[1]:,} | {total:.0f} |")
    left, right = zip(*served(trainer.model), strict=True)
    ranks = [spearmanr(SHARES, values).statistic for values in (left, right)]
    print(f"\nServed: rank correlations {ranks[0]:.3f} (left) and {ranks[1]:.3f} (right)")
    if OUTPUT.value:
        title = f"Hypervolume {volumes[0]:.4f} of one model, {volumes[1]:.4f} of {len(STATIC)}"
        picture({**points, **others}, title).savefig(OUTPUT.value, dpi=120)


if __name__ == "__main__":
    app.run(main)
