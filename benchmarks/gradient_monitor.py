"""Cost of `GradientMonitor`: whole trainings on `multi_digits` with and without it, at the default interval.

The trainings take turns in one process, so that the ratio holds while the machine's speed drifts: each from
scratch, with compilation and the picture at the end. Where other programs run, look at the processor's time.
The last table counts it inside the callback; what the input pipeline does meanwhile is in it.

    python benchmarks/gradient_monitor.py [--rounds=5] [--epochs=10]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import collections
import statistics
import tempfile
import time

import keras
from absl import app, flags

import mtl_zoo as mz
from mtl_zoo.callbacks import GradientMonitor

ROUNDS = flags.DEFINE_integer("rounds", 5, "Pairs of trainings, after a short one that is not counted.")
EPOCHS = flags.DEFINE_integer("epochs", 10, "Epochs of a training.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Examples in a step, and in the probe.")

HOOKS = ("on_train_begin", "on_train_batch_begin", "on_train_batch_end", "on_train_end")


class TimedMonitor(GradientMonitor):
    """Keeps the seconds of every call of its hooks."""

    def __init__(self, *args):
        super().__init__(*args)
        self.seconds = collections.defaultdict(list)
        for name in HOOKS:
            setattr(self, name, self._timed(name, getattr(self, name)))

    def _timed(self, name, hook):
        def run(*args, **kwargs):
            start = time.process_time()
            hook(*args, **kwargs)
            self.seconds[name].append(time.process_time() - start)

        return run


def train(data, epochs, callbacks):
    """Train from scratch; return the seconds, of the clock and of the processor."""
    keras.utils.set_random_seed(0)
    digits = mz.datasets.multi_digits
    model = mz.architectures.hard_sharing(digits.inputs(), digits.TASKS, digits.encoder())
    trainer = mz.Trainer(model, digits.TASKS)
    trainer.compile(keras.optimizers.Adam(1e-3))
    clock, processor = time.perf_counter(), time.process_time()
    trainer.fit(data, epochs=epochs, verbose=0, callbacks=callbacks)
    return time.perf_counter() - clock, time.process_time() - processor


def parts(monitor):
    """Return the seconds of the first measurement, of all others, of the picture and of the other steps."""
    begins, ends = (monitor.seconds[name] for name in HOOKS[1:3])
    steps = [begin + end for begin, end in zip(begins, ends, strict=True)]
    measured = steps[monitor.every :: monitor.every]
    others = sum(steps) - steps[0] - sum(measured)
    fixed = sum(monitor.seconds["on_train_begin"]) + steps[0]
    return {
        "first measurement, with its compilation": fixed,
        f"{len(measured)} others": sum(measured),
        f"the {len(steps) - len(measured) - 1} steps between": others,
        "picture": sum(monitor.seconds["on_train_end"]),
    }


def main(argv):
    del argv
    digits = mz.datasets.multi_digits
    data = digits.load("train", BATCH_SIZE.value)
    probe = digits.load("validation", BATCH_SIZE.value)
    print("| training | clock, s | processor, s |\n|---|---|---|", flush=True)
    pairs, details = [], []
    for epochs in [1] + [EPOCHS.value] * ROUNDS.value:
        monitor = TimedMonitor(tempfile.mkdtemp(), probe)
        pairs.append((train(data, epochs, []), train(data, epochs, [monitor])))
        details.append(parts(monitor))
        for name, times in zip(("without", "with"), pairs[-1], strict=True):
            print(f"| {name}, {epochs} epochs | {times[0]:.2f} | {times[1]:.2f} |", flush=True)
    pairs, details = pairs[1:], details[1:]
    ratios = [statistics.median(pair[1][j] / pair[0][j] for pair in pairs) for j in range(2)]
    print(f"| with ÷ without, median of the pairs | {ratios[0]:.4f} | {ratios[1]:.4f} |")
    print("\n| inside the callback | processor, s | of training without |\n|---|---|---|")
    whole = statistics.median(without[1] for without, _ in pairs)
    rows = {name: statistics.median(row[name] for row in details) for name in details[0]}
    for name, seconds in {**rows, "all": sum(rows.values())}.items():
        print(f"| {name} | {seconds:.3f} | {seconds / whole:.2%} |")


if __name__ == "__main__":
    app.run(main)
