"""Low-rank adapters against full fine-tuning on `multi_digits`, from a trunk that knows single digits.

The trunk learns one digit per image, at either place of `multi_digits`, from the source images of its
training split. From there on every way trains for as many epochs, with the learning rate that was best on the
validation split; the epoch is chosen by validation loss, and the test set is used once per row.

    python benchmarks/adapters.py [--epochs=6] [--learning_rates=1e-3,3e-3] [--seed=0]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np
from absl import app, flags
from sklearn.datasets import load_digits

import mtl_zoo as mz

EPOCHS = flags.DEFINE_integer("epochs", 6, "Epochs of each way.")
LEARNING_RATES = flags.DEFINE_list(
    "learning_rates", ["1e-3", "3e-3"], "Learning rates of Adam to choose from."
)
SEED = flags.DEFINE_integer("seed", 0, "Seed.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Examples in a step.")
EXAMPLES = flags.DEFINE_integer("examples", 20_000, "Images of single digits.")
RANKS = flags.DEFINE_list("ranks", ["4"], "Ranks of the adapters.")

DATA = mz.datasets.multi_digits
DIGIT = mz.Task.classification("digit", 10)
TRUNK = "shared_3_dense"


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
    trainer.compile(keras.optimizers.Adam(1e-3))
    x, y = single_digits()
    history = trainer.fit(x, {"digit": y}, batch_size=BATCH_SIZE.value, epochs=4, verbose=0)
    return model, history.history["digit_accuracy"][-1]


def fully(model):
    trunk = keras.Model(model.input, model.get_layer(TRUNK).output)
    return mz.architectures.hard_sharing(DATA.inputs(), DATA.TASKS, mz.encoders.backbone(trunk))


def heads_alone(model):
    found = fully(model)
    for layer in found.layers:
        layer.trainable = layer.name.endswith("_logits")
    return found


def ways():
    """Return functions from the model of single digits to a model to train, by what they do."""
    found = {"all weights": fully, "the heads alone": heads_alone}
    for rank in map(int, RANKS.value):
        for name, shared in {"": None, ", the convolutions' shared": "conv"}.items():
            found[f"adapters of rank {rank}{name}"] = lambda model, rank=rank, shared=shared: (
                mz.transfer.lora(model, DATA.TASKS, rank, shared=shared, features=TRUNK)
            )
    return found


def train(model, learning_rate):
    """Train; return the trainer and the lowest validation loss."""
    trainer = mz.Trainer(model, DATA.TASKS)
    trainer.compile(keras.optimizers.Adam(learning_rate))
    best = keras.callbacks.EarlyStopping(patience=EPOCHS.value, restore_best_weights=True)
    train, validation = (
        DATA.load(split, BATCH_SIZE.value, seed=SEED.value) for split in ("train", "validation")
    )
    history = trainer.fit(train, validation_data=validation, epochs=EPOCHS.value, verbose=0, callbacks=[best])
    return trainer, min(history.history["val_loss"])


def largest_difference(model):
    """Return how far the merged model is from the model with adapters, on the test images."""
    plain = mz.transfer.merge_lora(model)
    test = DATA.load("test", BATCH_SIZE.value)
    answers = (x.predict(test, verbose=0) for x in (model, plain))
    return max(np.abs(first - second).max() for first, second in zip(*map(dict.values, answers), strict=True))


def row(name, make, model):
    """Print the row of one way."""
    start, runs = time.process_time(), {}
    for rate in LEARNING_RATES.value:
        keras.utils.set_random_seed(SEED.value)
        runs[rate] = train(make(model), float(rate))
    seconds = (time.process_time() - start) / len(runs)
    rate, (trainer, _) = min(runs.items(), key=lambda run: run[1][1])
    result = trainer.evaluate(DATA.load("test", BATCH_SIZE.value), verbose=0, return_dict=True)
    accuracies = [result[f"{task.name}_accuracy"] for task in DATA.TASKS]
    counts = mz.transfer.trained_parameters(trainer.model)
    trained = counts["adapters"] + counts["heads"]
    merged = f"{largest_difference(trainer.model):.1e}" if counts["adapters"] else "-"
    cells = [f"{trained:,}", f"{statistics.mean(accuracies):.4f}", *(f"{x:.4f}" for x in accuracies)]
    print("|", " | ".join([name, *cells, rate, f"{seconds:.0f}", merged]), "|", flush=True)


def main(argv):
    del argv
    keras.utils.set_random_seed(SEED.value)
    model, accuracy = pretrained()
    print(f"Single digits: accuracy {accuracy:.4f} on the images that the trunk learned from.\n")
    print(
        "| trained | parameters | test accuracy, mean | left | right | learning rate | processor seconds "
        "| merged |\n|---|---|---|---|---|---|---|---|"
    )
    for name, make in ways().items():
        row(name, make, model)


if __name__ == "__main__":
    app.run(main)
