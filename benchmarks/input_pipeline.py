"""Examples per second of the input pipelines of the embedded datasets, alone and with their models.

Each dataset is read for an epoch to warm up, and then for a number of epochs; training is that of hard
sharing on the default encoder. A pipeline keeps the model fed where it is several times as fast.

    python benchmarks/input_pipeline.py [--datasets=multi_digits,...] [--epochs=3] [--batch_size=256]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import inspect
import time

from absl import app, flags

import mtl_zoo as mz

EMBEDDED = ("multi_digits", "shape_scenes", "breast_cancer", "correlated_regression", "scaled_regression")
DATASETS = flags.DEFINE_list("datasets", list(EMBEDDED), "Datasets.")
EPOCHS = flags.DEFINE_integer("epochs", 3, "Epochs to time, after one to warm up.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Examples in a batch.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Directory of prepared datasets.")
MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "Directory of files that were downloaded by hand.")


def with_places(function, *args):
    """Call a function of a dataset with the directories that it takes."""
    places = {"data_dir": DATA_DIR.value, "manual_dir": MANUAL_DIR.value}
    takes = inspect.signature(function).parameters
    return function(*args, **{name: place for name, place in places.items() if name in takes})


def rate(run, examples):
    """Return the examples per second of a function that takes an epoch."""
    run()
    started = time.perf_counter()
    for _ in range(EPOCHS.value):
        run()
    return EPOCHS.value * examples / (time.perf_counter() - started)


def read(dataset):
    for _ in dataset:
        pass


def main(argv):
    del argv
    print("| dataset | pipeline, examples/s | with labels checked | training | pipeline ÷ training |")
    print("|---|---|---|---|---|")
    for name in DATASETS.value:
        data = getattr(mz.datasets, name)
        train = with_places(data.load, "train", BATCH_SIZE.value)
        model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, with_places(data.encoder))
        trainer = mz.Trainer(model, data.TASKS)
        trainer.compile("adam")
        size = sum(len(next(iter(labels.values()))) for _, labels in train)
        checked, *_ = trainer.border.admit(train)
        rates = [
            rate(lambda x=train: read(x), size),
            rate(lambda x=checked: read(x), size),
            rate(lambda t=trainer, x=train: t.fit(x, verbose=0), size),
        ]
        cells = [f"{x:,.0f}" for x in rates]
        print(f"| `{name}` |", " | ".join([*cells, f"{rates[1] / rates[2]:.1f}"]), "|", flush=True)


if __name__ == "__main__":
    app.run(main)
