"""What many tasks cost: seconds until the first step is made, peak memory, and time of a step.

Every row of a table is a process of its own. Its first `fit` traces and compiles the step and makes one; the
peak memory of the process is then read off, before more steps are timed. The method "none" has the same
losses, labels and metrics per task but one backward pass, so it shows what the trainer costs without the
passes of an aggregator; "keras" is the same model in plain `compile` and `fit`.

    python benchmarks/many_tasks.py [--tasks=2,40] [--networks=resnet] [--methods=keras,none,upgrad]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import pathlib
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import mtl_zoo as mz

TASKS = flags.DEFINE_list("tasks", ["2", "40"], "Numbers of tasks; ratios are to the first.")
NETWORKS = flags.DEFINE_list("networks", ["resnet"], "Networks, of those in NETWORKS_BY_NAME.")
ROWS = flags.DEFINE_list("methods", ["keras", "none", "upgrad"], "Methods, of those in METHODS.")
STEPS = flags.DEFINE_integer("steps", 10, "Steps in a timed round, of which there are three; 0 for none.")
BATCH = flags.DEFINE_integer("batch_size", 64, "Examples in a step.")
COMPILER = flags.DEFINE_enum("compiler", "graph", ["graph", "xla"], "How steps are compiled.")
ROW = flags.DEFINE_string("row", None, "Of the program itself: the one row to measure, as JSON.")

NETWORKS_BY_NAME = {
    "mlp": ((256,), lambda: mz.encoders.mlp(512, 512, 256)),
    "convnet": ((28, 28, 3), lambda: [*mz.encoders.convnet(32, 64), *mz.encoders.mlp(128)]),
    "resnet": ((32, 32, 3), lambda: mz.encoders.resnet(16, 32, 64, blocks=2)),
}
METHODS = {
    "keras": None,
    "none": {},
    "upgrad": {"aggregator": mz.aggregators.UPGrad},
    "pcgrad": {"aggregator": mz.aggregators.PCGrad},
    "graddrop": {"aggregator": mz.aggregators.GradDrop},
    "trimmedmean": {"aggregator": mz.aggregators.TrimmedMean},
    "upgrad_representation": {"aggregator": mz.aggregators.UPGrad, "space": "representation"},
}


def make_trainer(network, num_tasks, method):
    """Return a compiled trainer, or Keras model."""
    shape, encoder = NETWORKS_BY_NAME[network]
    tasks = [mz.Task.classification(f"task_{index}", 10) for index in range(num_tasks)]
    model = mz.architectures.hard_sharing(keras.Input(shape), tasks, encoder())
    if method == "keras":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        losses, metrics = ({task.name: x for task in tasks} for x in (loss, ["accuracy"]))
        model.compile(keras.optimizers.Adam(), losses, metrics=metrics, jit_compile=COMPILER.value == "xla")
        return model
    methods = {name: make() if callable(make) else make for name, make in METHODS[method].items()}
    trainer = mz.Trainer(model, tasks, **methods)
    trainer.compile(keras.optimizers.Adam(), jit_compile=COMPILER.value == "xla")
    return trainer


def make_data(network, num_tasks):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(BATCH.value, *NETWORKS_BY_NAME[network][0])).astype("float32")
    labels = {f"task_{index}": random.integers(0, 10, BATCH.value) for index in range(num_tasks)}
    return tf.data.Dataset.from_tensors((inputs, labels)).cache().repeat()


def seconds_of_fit(trainer, data, steps):
    start = time.perf_counter()
    trainer.fit(data, steps_per_epoch=steps, verbose=0, shuffle=False)
    return time.perf_counter() - start


def peak_memory():
    """Return the peak of the memory of this process, in MB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def measure(network, num_tasks, method):
    """Return the seconds of the first step, the memory of the process after it, and ms per step."""
    trainer, data = make_trainer(network, num_tasks, method), make_data(network, num_tasks)
    first = seconds_of_fit(trainer, data, 1)
    return {"first": first, "memory": peak_memory(), "step": ms_per_step(trainer, data)}


def ms_per_step(trainer, data):
    """Return the milliseconds of a step, without what `fit` costs besides; NaN if none are to be timed."""
    if not STEPS.value:
        return float("nan")
    seconds_of_fit(trainer, data, STEPS.value)
    one = [seconds_of_fit(trainer, data, 1) for _ in range(3)]
    many = [seconds_of_fit(trainer, data, STEPS.value + 1) for _ in range(3)]
    return 1000 * (statistics.median(many) - statistics.median(one)) / STEPS.value


def measured_apart(*row):
    """Return what `measure` returns in a process of its own."""
    flags_given = [flag for flag in sys.argv[1:] if not flag.startswith("--row")]
    command = [sys.executable, __file__, *flags_given, f"--row={json.dumps(row)}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.decode().splitlines()[-1])


def table(network, method):
    print(f"\n{network}, {method}, batches of {BATCH.value}, {COMPILER.value}")
    print("| tasks | first fit, s | ÷ | memory, MB | ÷ | ms per step | ÷ |\n|---|---|---|---|---|---|---|")
    start = None
    for num_tasks in map(int, TASKS.value):
        found = measured_apart(network, num_tasks, method)
        start = start or found
        cells = [str(num_tasks)]
        for key, digits in (("first", 1), ("memory", 0), ("step", 1)):
            cells += [f"{found[key]:.{digits}f}", f"{found[key] / start[key]:.2f}"]
        print("|", " | ".join(cells), "|", flush=True)


def main(argv):
    del argv
    if ROW.value:
        print(json.dumps(measure(*json.loads(ROW.value))))
        return
    for network in NETWORKS.value:
        for method in ROWS.value:
            table(network, method)


if __name__ == "__main__":
    app.run(main)
