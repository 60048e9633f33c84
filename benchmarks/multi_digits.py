"""Test accuracy of architectures on `multi_digits`, over several seeds, with one recipe.

The epoch is chosen by validation loss; the test set is used once per run.

    python benchmarks/multi_digits.py [--seeds=0,1,2] [--epochs=10]
    python benchmarks/multi_digits.py --architectures=hard_sharing --precisions=float32,mixed_float16
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import itertools
import statistics

import keras
from absl import app, flags

import mtl_zoo as mz

SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
EPOCHS = flags.DEFINE_integer("epochs", 10, "Epochs.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Examples in a step.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Learning rate of Adam.")
ARCHITECTURES = flags.DEFINE_list(
    "architectures", ["single_task", "hard_sharing", "soft_sharing", "cross_stitch"], "Builders to compare."
)
PRECISIONS = flags.DEFINE_list("precisions", ["float32"], "Policies of precision to compare.")


def run(architecture, precision, seed):
    """Train once; return the mean test accuracy of both tasks and the number of parameters."""
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    data = mz.datasets.multi_digits
    train, validation, test = (
        data.load(split, BATCH_SIZE.value, seed=seed) for split in ("train", "validation", "test")
    )
    model = getattr(mz.architectures, architecture)(data.inputs(), data.TASKS, data.encoder())
    trainer = mz.Trainer(model, data.TASKS)
    trainer.compile(keras.optimizers.Adam(LEARNING_RATE.value))
    best = keras.callbacks.EarlyStopping(patience=EPOCHS.value, restore_best_weights=True)
    trainer.fit(train, validation_data=validation, epochs=EPOCHS.value, verbose=0, callbacks=[best])
    result = trainer.evaluate(test, verbose=0, return_dict=True)
    return statistics.mean(result[f"{task.name}_accuracy"] for task in data.TASKS), model.count_params()


def main(argv):
    del argv
    print("| architecture | precision | parameters | test accuracy, mean of both tasks | per seed |")
    print("|---|---|---|---|---|")
    for architecture, precision in itertools.product(ARCHITECTURES.value, PRECISIONS.value):
        runs = [run(architecture, precision, int(seed)) for seed in SEEDS.value]
        accuracies = [accuracy for accuracy, _ in runs]
        mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
        seeds = ", ".join(f"{accuracy:.4f}" for accuracy in accuracies)
        cells = f"`{architecture}` | {precision} | {runs[0][1]:,} | {mean:.4f} ± {spread:.4f} | {seeds}"
        print(f"| {cells} |", flush=True)


if __name__ == "__main__":
    app.run(main)
