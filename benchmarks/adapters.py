"""Low-rank adapters against full fine-tuning on `multi_digits`, from a trunk that knows single digits.

The trunk learns one digit per image, at either place of `multi_digits`, from the source images of its
training split. From there on every way trains for as many epochs; the epoch is chosen by validation loss,
and the test set is used once per row. `merged` is how far the model of plain layers is from that with
adapters, in parts of the largest logit.

    python benchmarks/adapters.py [--epochs=8] [--learning_rate=2e-3] [--adapter_rate=1.5e-2] [--seed=0]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from sklearn.datasets import load_digits

import mtl_zoo as mz

EPOCHS = flags.DEFINE_integer("epochs", 8, "Epochs of each way, and of the trunk.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 2e-3, "Learning rate of Adam for all weights.")
ADAPTER_RATE = flags.DEFINE_float("adapter_rate", 1.5e-2, "The same for adapters and their heads.")
SEED = flags.DEFINE_integer("seed", 0, "Seed.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Examples in a step.")
EXAMPLES = flags.DEFINE_integer("examples", 20_000, "Images of single digits.")
RANK = flags.DEFINE_integer("rank", 4, "Rank of the adapters.")

DATA = mz.datasets.multi_digits
DIGIT = mz.Task.classification("digit", 10)
TRUNK = "shared_3_dense"


def load(split):
    return DATA.load(split, BATCH_SIZE.value, seed=SEED.value)


def single_digits():
    """Return images with one digit each, at either place, and its class."""
    random = np.random.default_rng(SEED.value)
    source = load_digits()
    chosen = random.choice(DATA.source_split(source.target)["train"], EXAMPLES.value)
    digits = source.images[chosen].astype("float32") / 16
    is_left = random.random(len(digits)) < 0.5
    left, right = (digits * place[:, None, None] for place in (is_left, ~is_left))
    return DATA.overlay(left, right, random)[..., np.newaxis], source.target[chosen]


def pretrained():
    """Return a model of single digits, and its accuracy on the images that it learned from."""
    model = mz.architectures.hard_sharing(DATA.inputs(), [DIGIT], DATA.encoder())
    trainer = mz.Trainer(model, [DIGIT])
    x, y = single_digits()
    examples = tf.data.Dataset.from_tensor_slices((x, {"digit": y})).shuffle(EXAMPLES.value, SEED.value)
    history = fit(trainer, examples.batch(BATCH_SIZE.value), EPOCHS.value, 3e-3)
    return model, history.history["digit_accuracy"][-1]


def fully(model):
    trunk = keras.Model(model.input, model.get_layer(TRUNK).output)
    return mz.architectures.hard_sharing(DATA.inputs(), DATA.TASKS, mz.encoders.backbone(trunk))


def ways(model):
    """Yield what is trained, a model from that of single digits, and its learning rate."""
    yield "all weights", fully(model), LEARNING_RATE.value
    for name, shared in {", the convolutions' shared": "conv", "": None}.items():
        adapted = mz.transfer.lora(model, DATA.TASKS, RANK.value, shared=shared, features=TRUNK)
        yield f"adapters of rank {RANK.value}{name}", adapted, ADAPTER_RATE.value


def fit(trainer, training, epochs, learning_rate, **options):
    """Train with a rate that falls to 0."""
    steps = epochs * int(training.cardinality())
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    trainer.compile(keras.optimizers.Adam(schedule))
    return trainer.fit(training, epochs=epochs, verbose=0, **options)


def train(model, learning_rate):
    """Return a trained `Trainer`."""
    trainer = mz.Trainer(model, DATA.TASKS)
    best = keras.callbacks.EarlyStopping(patience=EPOCHS.value, restore_best_weights=True)
    options = {"validation_data": load("validation"), "callbacks": [best]}
    fit(trainer, load("train"), EPOCHS.value, learning_rate, **options)
    return trainer


def largest_difference(model):
    """Return how far the merged model is from the model with adapters, in parts of the largest logit."""
    plain = mz.transfer.merge_lora(model)
    found, expected = (list(x.predict(load("test"), verbose=0).values()) for x in (plain, model))
    return np.abs(np.subtract(found, expected)).max() / np.abs(expected).max()


def row(name, model, rate):
    """Print the row of one way."""
    start = time.process_time()
    trainer = train(model, rate)
    seconds = time.process_time() - start
    result = trainer.evaluate(load("test"), verbose=0, return_dict=True)
    accuracies = [result[f"{task.name}_accuracy"] for task in DATA.TASKS]
    counts = mz.transfer.trained_parameters(model)
    merged = f"{largest_difference(model):.1e}" if counts["adapters"] else "-"
    cells = [f"{counts['adapters'] + counts['heads']:,}", f"{statistics.mean(accuracies):.4f}"]
    cells += [*(f"{x:.4f}" for x in accuracies), f"{seconds:.0f}", merged]
    print("|", " | ".join([name, *cells]), "|", flush=True)


def main(argv):
    del argv
    keras.utils.set_random_seed(SEED.value)
    model, accuracy = pretrained()
    print(f"Single digits: accuracy {accuracy:.4f} on the images that the trunk learned from.\n")
    print("| trained | parameters | test accuracy, mean | left | right | processor seconds | merged |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for way in ways(model):
        keras.utils.set_random_seed(SEED.value)
        row(*way)


if __name__ == "__main__":
    app.run(main)
