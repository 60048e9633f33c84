"""Time of a training step: plain Keras against the trainer, with and without an aggregator.

All rows of a table run in turns in one process, so that a ratio holds while the machine's speed drifts; the
figures are medians over the rounds. The bound of an aggregator's row is what it cannot do without: the step
of `Equal` (forward, heads, one backward pass through the trunk, optimizer, metrics) and T - 1 more backward
passes through the trunk, which are measured on their own; where weights are renewed in every eighth step, an
eighth of these. Representation space needs one whatever T is.

    python benchmarks/step_time.py [--tasks=2,10] [--rounds=7] [--steps=100]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import mtl_zoo as mz

TASKS = flags.DEFINE_list("tasks", ["2", "10"], "Numbers of tasks.")
NETWORKS = flags.DEFINE_list("networks", ["mlp", "convnet"], "Networks, of those in ENCODERS.")
COMPILERS = flags.DEFINE_list("compilers", ["graph", "xla"], "How steps are compiled.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Timed rounds of every row.")
STEPS = flags.DEFINE_integer("steps", 100, "Steps in a round.")
BATCH = flags.DEFINE_integer("batch_size", 256, "Examples in a step.")

ENCODERS = {
    "mlp": ((256,), mz.encoders.mlp(512, 512, 256)),
    "convnet": ((28, 28, 3), [*mz.encoders.convnet(32, 64), *mz.encoders.mlp(128)]),
}
METHODS = {
    "Trainer, Equal": {"balancer": mz.balancers.Equal},
    "Trainer, Uncertainty": {"balancer": mz.balancers.Uncertainty},
    "Trainer, MGDA": {"aggregator": mz.aggregators.MGDA},
    "Trainer, PCGrad": {"aggregator": mz.aggregators.PCGrad},
    "Trainer, MGDA, representation": {"aggregator": mz.aggregators.MGDA, "space": "representation"},
    "Trainer, MGDA, refresh_every=8": {"aggregator": mz.aggregators.MGDA, "refresh_every": 8},
}


class EpochTimer(keras.callbacks.Callback):
    """Keeps the seconds of the last epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start


def make_tasks(num_tasks):
    return [mz.Task.classification(f"task_{index}", 10) for index in range(num_tasks)]


def make_data(shape, tasks):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(BATCH.value, *shape)).astype("float32")
    labels = {task.name: rng.integers(0, 10, BATCH.value) for task in tasks}
    return tf.data.Dataset.from_tensors((inputs, labels)).cache().repeat()


def make_model(network, tasks):
    shape, encoder = ENCODERS[network]
    return mz.architectures.hard_sharing(keras.Input(shape), tasks, encoder)


def plain_keras(network, tasks, jit_compile):
    """Return a Keras model compiled on the sum of the losses, with the metrics that the trainer keeps."""
    model = make_model(network, tasks)
    model.compile(
        keras.optimizers.Adam(),
        loss={task.name: keras.losses.SparseCategoricalCrossentropy(from_logits=True) for task in tasks},
        metrics={task.name: ["accuracy"] for task in tasks},
        jit_compile=jit_compile,
    )
    return model


def trainer(network, tasks, jit_compile, balancer=None, aggregator=None, **options):
    model = make_model(network, tasks)
    result = mz.Trainer(model, tasks, balancer and balancer(), aggregator and aggregator(), **options)
    result.compile(keras.optimizers.Adam(), jit_compile=jit_compile)
    return result


def fit_timer(model, data):
    """Return a function that trains for a round and returns milliseconds per step."""

    def run():
        timer = EpochTimer()
        model.fit(data, steps_per_epoch=STEPS.value, verbose=0, callbacks=[timer], shuffle=False)
        return 1000 * timer.seconds / STEPS.value

    return run


def start_timer(model, data):
    """Return a function that calls `fit` for one step and returns milliseconds, the step among them."""

    def run():
        start = time.perf_counter()
        model.fit(data, steps_per_epoch=1, verbose=0, shuffle=False)
        return 1000 * (time.perf_counter() - start)

    return run


def part_timers(network, tasks, data, jit_compile):
    """Return timers of the forward pass alone, and with one task's backward pass through the trunk."""
    model = make_model(network, tasks)
    inputs, labels = next(iter(data))
    heads = {id(v) for task in tasks for v in model.get_layer(f"{task.name}_logits").trainable_variables}
    trunk = [v for v in model.trainable_variables if id(v) not in heads]

    def losses():
        logits = model(inputs, training=True)
        return [task.compute_loss(labels[task.name], logits[task.name]) for task in tasks]

    @tf.function(jit_compile=jit_compile)
    def forward():
        return tf.add_n(losses())

    @tf.function(jit_compile=jit_compile)
    def forward_and_backward():
        with tf.GradientTape() as tape:
            values = losses()
        gradients = tape.gradient(values[0], trunk)
        return tf.add_n(values), gradients

    return {"forward": call_timer(forward), "forward_and_backward": call_timer(forward_and_backward)}


def call_timer(function):
    def run():
        start = time.perf_counter()
        for _ in range(STEPS.value):
            result = function()
        tf.nest.map_structure(lambda tensor: tensor.numpy(), result)
        return 1000 * (time.perf_counter() - start) / STEPS.value

    return run


def measure(timers):
    """Run all timers in turns; return the median of each, after one round that is not counted."""
    rounds = [{name: run() for name, run in timers.items()} for _ in range(ROUNDS.value + 1)][1:]
    return {name: statistics.median(times[name] for times in rounds) for name in timers}


def table(network, num_tasks, compiler):
    tasks = make_tasks(num_tasks)
    data = make_data(ENCODERS[network][0], tasks)
    jit_compile = compiler == "xla"
    models = {"Keras compile/fit": plain_keras(network, tasks, jit_compile)}
    models |= {name: trainer(network, tasks, jit_compile, **method) for name, method in METHODS.items()}
    timers = {name: fit_timer(model, data) for name, model in models.items()}
    starts = {f"start of {name}": start_timer(model, data) for name, model in models.items()}
    times = measure({**timers, **starts, **part_timers(network, tasks, data, jit_compile)})
    backward = times["forward_and_backward"] - times["forward"]
    bounds = {1: times["Trainer, Equal"] + (num_tasks - 1) * backward}
    bounds[8] = times["Trainer, Equal"] + (num_tasks - 1) * backward / 8
    print(
        f"\n{network}, {num_tasks} tasks, {compiler}; one backward pass through the trunk: {backward:.2f} ms"
    )
    print("| row | ms per step | ÷ Keras | ÷ Equal | bound, ms | ÷ bound | `fit` of one step, ms |")
    print("|---|---|---|---|---|---|---|")
    for name in timers:
        others = times["Keras compile/fit"], times["Trainer, Equal"]
        row = [f"{times[name]:.2f}", *(f"{times[name] / other:.2f}" for other in others), "", ""]
        row.append(f"{times[f'start of {name}']:.1f}")
        method = METHODS.get(name, {})
        if "aggregator" in method and "space" not in method:
            bound = bounds[method.get("refresh_every", 1)]
            row[3:5] = f"{bound:.2f}", f"{times[name] / bound:.2f}"
        print("|", " | ".join([name, *row]), "|", flush=True)


def main(argv):
    del argv
    for network in NETWORKS.value:
        for num_tasks in TASKS.value:
            for compiler in COMPILERS.value:
                table(network, int(num_tasks), compiler)


if __name__ == "__main__":
    app.run(main)
