"""What a model forgets of the left digit of `multi_digits` while it learns the right one, over several seeds.

A network is trained on the left digit once per seed. Then the right digit is added, and learned from its
labels alone in three ways: plain fine-tuning, learning without forgetting (`Teacher`) and elastic weight
consolidation (`ewc`), each from the same weights, with the same data and optimizer. The first seed chooses
the strength of `ewc`, by the mean validation accuracy of both digits; the test set is used for the table.

    python benchmarks/forgetting.py [--seeds=0,1,2] [--old_epochs=12] [--epochs=4] [--strengths=10,30,100]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import functools
import statistics
import time

import keras
from absl import app, flags

import mtl_zoo as mz

SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds; the first chooses the strength.")
OLD_EPOCHS = flags.DEFINE_integer("old_epochs", 12, "Epochs on the left digit.")
EPOCHS = flags.DEFINE_integer("epochs", 4, "Epochs on the right digit.")
STEPS = flags.DEFINE_integer("steps", 50, "Batches of an epoch.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Examples in a step.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Learning rate of Adam.")
STRENGTHS = flags.DEFINE_list("strengths", ["10", "30", "100"], "Strengths of `ewc` to choose from.")

DATA = mz.datasets.multi_digits
LEFT, RIGHT = DATA.TASKS


class Study:
    """The trainings of one seed.

    Args:
        seed: Seed of the order of the data and of the networks.
    """

    def __init__(self, seed):
        self.seed = seed
        self.data = DATA.load("train", BATCH_SIZE.value, seed=seed).take(STEPS.value)
        keras.utils.set_random_seed(seed)
        stages = (*mz.encoders.convnet(16, 32), *mz.encoders.mlp(128))
        self.old = mz.architectures.hard_sharing(DATA.inputs(), [LEFT], stages)
        self.train(self.old, [LEFT], self.data, OLD_EPOCHS.value)
        self.start = self.old.get_weights()

    def train(self, model, tasks, data, epochs):
        trainer = mz.Trainer(model, tasks)
        trainer.compile(keras.optimizers.Adam(LEARNING_RATE.value))
        trainer.fit(data, epochs=epochs, verbose=0)

    def grown(self):
        """Return a model with the right digit added to what the left one has taught."""
        self.old.set_weights(self.start)
        keras.utils.set_random_seed(self.seed)
        return mz.transfer.add_task(self.old, RIGHT)

    def fine_tuned(self):
        model = self.grown()
        mz.transfer.freeze(model, tasks=["left"])
        self.train(model, [RIGHT], self.data, EPOCHS.value)
        self.old.trainable = True
        return model

    def distilled(self):
        model = self.grown()
        teacher = mz.transfer.Teacher(self.old, [LEFT])
        self.train(model, [RIGHT, *teacher.tasks], teacher.label(self.data), EPOCHS.value)
        return model

    def consolidated(self, strength):
        model = mz.transfer.ewc(self.grown(), [LEFT], self.data, float(strength), seed=self.seed)
        self.train(model, [RIGHT], self.data, EPOCHS.value)
        return model


@functools.cache
def loaded(split):
    return DATA.load(split, 500)


def accuracies(model, split, tasks=DATA.TASKS):
    """Return the accuracy of every task."""
    trainer = mz.Trainer(model, tasks)
    trainer.compile()
    found = trainer.evaluate(loaded(split), verbose=0, return_dict=True)
    return [found[f"{task.name}_accuracy"] for task in tasks]


def chosen_strength(study):
    """Return the strength of the best validation accuracy, and print them all."""
    found = {x: accuracies(study.consolidated(x), "validation") for x in STRENGTHS.value}
    for strength, (left, right) in found.items():
        print(f"ewc, strength {strength}: left {left:.4f}, right {right:.4f} in validation", flush=True)
    return max(found, key=lambda x: sum(found[x]))


def row(name, before, after):
    """Return a row of the table: accuracies of all seeds, and what is lost of the left digit's."""
    lost = [start - left for start, (left, _) in zip(before, after, strict=True)]
    cells = [", ".join(f"{x:.4f}" for x in numbers) for numbers in (lost, *zip(*after, strict=True))]
    return f"| {name} | {statistics.mean(lost):.4f} | {' | '.join(cells)} |"


def main(argv):
    del argv
    before, after, strength = [], {}, None
    for seed in map(int, SEEDS.value):
        study = Study(seed)
        before += accuracies(study.old, "test", [LEFT])
        strength = strength or chosen_strength(study)
        ways = {
            "fine-tuning": study.fine_tuned,
            "`Teacher`": study.distilled,
            f"`ewc`, strength {strength}": functools.partial(study.consolidated, strength),
        }
        for name, way in ways.items():
            after.setdefault(name, []).append(accuracies(way(), "test"))
    print("left digit before:", ", ".join(f"{x:.4f}" for x in before))
    print("\n| way | left accuracy lost, mean | per seed | left after | right after |")
    print("|---|---|---|---|---|")
    for name, found in after.items():
        print(row(name, before, found))
    print(f"\n{time.process_time():.0f} s of processor time")


if __name__ == "__main__":
    app.run(main)
