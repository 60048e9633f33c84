"""How well hard sharing learns the segmentation, depth and normals of `shape_scenes`.

The epoch is chosen by validation loss; the test scenes are used once. The constant predictor beside it gives
every pixel the most common class, the median depth and the mean normal of the training pixels.

    python benchmarks/shape_scenes.py [--epochs=10] [--seed=0] [--output=shape_scenes.png]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time

import keras
import numpy as np
from absl import app, flags

import mtl_zoo as mz

EPOCHS = flags.DEFINE_integer("epochs", 10, "Epochs.")
SEED = flags.DEFINE_integer("seed", 0, "Seed.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Examples in a step.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 6e-3, "Learning rate of Adam at the start.")
AUGMENT = flags.DEFINE_bool("augment", False, "Whether training scenes are mirrored at random.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Directory of prepared datasets.")
OUTPUT = flags.DEFINE_string("output", None, "Where to write a picture of test scenes; none by default.")
ROWS = flags.DEFINE_integer("rows", 6, "Test scenes in the picture.")

DATA = mz.datasets.shape_scenes
MEASURES = {
    "mean IoU of segmentation": "{:.3f}",
    "mean absolute error of depth, m": "{:.3f}",
    "mean relative error of depth": "{:.2%}",
    "mean angle between normals, degrees": "{:.1f}",
}


def load(split, **options):
    return DATA.load(split, BATCH_SIZE.value, DATA_DIR.value, seed=SEED.value, **options)


def arrays(split):
    """Return the images of a split, and its labels by task."""
    images, labels = zip(*load(split).as_numpy_iterator(), strict=True)
    joined = {task.name: np.concatenate([part[task.name] for part in labels]) for task in DATA.TASKS}
    return np.concatenate(images), joined


def train():
    """Return a trained `Trainer`."""
    keras.utils.set_random_seed(SEED.value)
    model = mz.architectures.hard_sharing(DATA.inputs(), DATA.TASKS, DATA.encoder())
    trainer = mz.Trainer(model, DATA.TASKS)
    training = load("train", augment=AUGMENT.value)
    steps = EPOCHS.value * int(training.cardinality())
    trainer.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE.value, steps)))
    best = keras.callbacks.EarlyStopping(patience=EPOCHS.value, restore_best_weights=True)
    trainer.fit(
        training, validation_data=load("validation"), epochs=EPOCHS.value, verbose=0, callbacks=[best]
    )
    return trainer


def constants(labels, shape):
    """Return the best guess without an image, for every pixel."""
    guess = {
        "segmentation": np.eye(len(DATA.CLASSES))[np.bincount(labels["segmentation"].ravel()).argmax()],
        "depth": np.median(labels["depth"], keepdims=True).ravel(),
        "normals": labels["normals"].mean(axis=(0, 1, 2)),
    }
    return {name: np.broadcast_to(value, (*shape, len(value))) for name, value in guess.items()}


def measure(truth, prediction):
    """Return numbers in the order of `MEASURES`."""
    error = np.abs(prediction["depth"] - truth["depth"])
    cosine = np.sum(unit(prediction["normals"]) * truth["normals"], axis=-1)
    return [
        mean_iou(truth["segmentation"], prediction["segmentation"].argmax(axis=-1)),
        error.mean(),
        np.mean(error / truth["depth"]),
        np.degrees(np.arccos(cosine.clip(-1, 1))).mean(),
    ]


def mean_iou(truth, prediction):
    overlaps = [
        np.sum((truth == kind) & (prediction == kind)) / np.sum((truth == kind) | (prediction == kind))
        for kind in range(len(DATA.CLASSES))
    ]
    return np.mean(overlaps)


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def main(argv):
    del argv
    start = time.perf_counter()
    trainer = train()
    minutes = (time.perf_counter() - start) / 60
    images, truth = arrays("test")
    prediction = trainer.predict(images, batch_size=BATCH_SIZE.value, verbose=0)
    constant = constants(arrays("train")[1], images.shape[:-1])
    print("| on the test split | `hard_sharing` | constant |\n|---|---|---|")
    rows = zip(MEASURES.items(), measure(truth, prediction), measure(truth, constant), strict=True)
    for (name, form), *values in rows:
        print(f"| {name} | {' | '.join(form.format(value) for value in values)} |")
    print(f"\n{EPOCHS.value} epochs in {minutes:.1f} minutes; {trainer.model.count_params():,} parameters")
    if OUTPUT.value:
        few = [{name: x[: ROWS.value] for name, x in maps.items()} for maps in (truth, prediction)]
        mz.plots.dense(images[: ROWS.value], DATA.TASKS, *few).savefig(OUTPUT.value, dpi=120)


if __name__ == "__main__":
    app.run(main)
