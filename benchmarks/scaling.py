"""What more workers cost: bytes that a step adds up over them, and step times of one and two workers.

    python benchmarks/scaling.py [--tasks=2,10,40] [--steps=60] [--notimes]

The bytes are counted where a step hands them to `tf.distribute`, on two logical devices, and compared with
the formula. With P numbers in the shared part, Q in the heads and T tasks (float32 all of them):

    no aggregator          P + Q + 2 T + 1        gradient, losses, labelled items, examples
    shared space           T P + Q + 2 T + 1      T gradients of the shared part
    representation space   P + Q + T T + 2 T + 1  and the inner products of the representation's gradients

A ring of N workers sends and receives 2 (N - 1) / N times that per worker, so less than twice as much on 512
workers as on 2; what grows with N is the number of messages on the way, 2 (N - 1).

The times are those of two processes on one machine, which share its cores: with a fixed global batch each
does half the work, with a fixed local batch all of it.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import mtl_zoo as mz
from mtl_zoo.training import distribution

TASKS = flags.DEFINE_list("tasks", ["2", "10", "40"], "Numbers of tasks.")
STEPS = flags.DEFINE_integer("steps", 60, "Timed steps.")
BATCH = flags.DEFINE_integer("batch_size", 256, "Examples in a global batch of one worker.")
TIMES = flags.DEFINE_bool("times", True, "Whether to measure times.")
WORKER = flags.DEFINE_string("worker", None, "Of the program itself: task count, method, batch size, output.")

SHAPE = (28, 28, 3)
METHODS = {
    "no aggregator": {},
    "shared": {"aggregator": mz.aggregators.MGDA},
    "representation": {"aggregator": mz.aggregators.MGDA, "space": "representation"},
}
WORKERS = (2, 8, 64, 512)


def make_trainer(num_tasks, method):
    tasks = [mz.Task.classification(f"task_{index}", 10) for index in range(num_tasks)]
    encoder = [*mz.encoders.convnet(32, 64), *mz.encoders.mlp(128)]
    model = mz.architectures.hard_sharing(keras.Input(SHAPE), tasks, encoder)
    methods = {name: make() if callable(make) else make for name, make in METHODS[method].items()}
    trainer = mz.Trainer(model, tasks, **methods)
    trainer.compile(keras.optimizers.SGD(0.01))
    return trainer


def make_batch(num_tasks, batch_size):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(batch_size, *SHAPE)).astype("float32")
    return inputs, {f"task_{index}": random.integers(0, 10, batch_size) for index in range(num_tasks)}


def counted(num_tasks, method):
    """Return the numbers that a step adds up over the replicas, and how many the formula says."""
    devices = tf.config.list_logical_devices("CPU")
    with tf.distribute.MirroredStrategy([device.name for device in devices]).scope() as strategy:
        trainer = make_trainer(num_tasks, method)
    found = []
    add_up = distribution.all_reduce

    def counting(values):
        found.extend(
            tf.convert_to_tensor(v).shape.num_elements() for v in tf.nest.flatten(values) if v is not None
        )
        return add_up(values)

    batch = tf.nest.map_structure(tf.constant, make_batch(num_tasks, 8))
    distribution.all_reduce = counting
    try:
        tf.function(lambda: strategy.run(trainer.train_step, (batch,))).get_concrete_function()
    finally:
        distribution.all_reduce = add_up
    heads = sum(
        v.shape.num_elements() for v in trainer.model.trainable_variables if v.path.startswith("task_")
    )
    shared = trainer.model.count_params() - heads
    square = num_tasks**2 if method == "representation" else 0
    formula = shared * (num_tasks if method == "shared" else 1) + heads + square + 2 * num_tasks + 1
    return sum(found) // len(devices), formula  # the step is traced once per replica


def print_bytes():
    print("\nMB per step: counted, by the formula, sent by each of N workers")
    workers = "".join(f"{f'{n} workers':>13}" for n in WORKERS)
    print(f"{'T  space':22}{'counted':>9}{'formula':>9}{workers}")
    for num_tasks in map(int, TASKS.value):
        for method in METHODS:
            numbers, formula = counted(num_tasks, method)
            sent = "".join(f"{8e-6 * formula * (n - 1) / n:13.2f}" for n in WORKERS)
            print(f"{num_tasks:<3}{method:19}{4e-6 * numbers:9.3f}{4e-6 * formula:9.3f}{sent}")


def work(description):
    """Train, as one worker or alone, and write the seconds per step."""
    num_tasks, method, batch_size, output = description.split(",")
    several = "TF_CONFIG" in os.environ
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else tf.distribute.get_strategy()
    with strategy.scope():
        trainer = make_trainer(int(num_tasks), method)
    batch = make_batch(int(num_tasks), int(batch_size))
    data = tf.data.Dataset.from_tensors(batch).cache().repeat(STEPS.value)
    trainer.fit(data, verbose=0)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        trainer.fit(data, verbose=0)
        seconds.append((time.perf_counter() - start) / STEPS.value)
    pathlib.Path(output).write_text(json.dumps(min(seconds)))


def timed(num_tasks, method, batch_size, workers):
    """Return the milliseconds of a step of so many workers with a global batch."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, f"--steps={STEPS.value}"]
        outputs = [pathlib.Path(folder, str(index)) for index in range(workers)]
        environments = worker_environments(workers)
        processes = [
            subprocess.Popen(
                [*command, f"--worker={num_tasks},{method},{batch_size},{output}"],
                env=environment,
                stderr=subprocess.DEVNULL,
            )
            for output, environment in zip(outputs, environments, strict=True)
        ]
        codes = [process.wait() for process in processes]
        if any(codes):
            raise RuntimeError(f"A worker of {workers} failed: {num_tasks} tasks, {method}")
        return 1e3 * max(json.loads(output.read_text()) for output in outputs)


def worker_environments(workers):
    if workers == 1:
        return [os.environ]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    cluster = {"worker": [f"127.0.0.1:{server.getsockname()[1]}" for server in sockets]}
    for server in sockets:
        server.close()
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(workers)]
    return [{**os.environ, "TF_CONFIG": json.dumps(task)} for task in tasks]


def print_times():
    size = BATCH.value
    print(f"\nms per step (÷ one worker's), global batch {size} and local batch {size}")
    print(f"{'T  space':22}{'1 worker':>10}{'2, global':>17}{'2, local':>17}")
    for num_tasks in map(int, TASKS.value):
        for method in METHODS:
            alone = timed(num_tasks, method, size, 1)
            others = (timed(num_tasks, method, batch, 2) for batch in (size, 2 * size))
            cells = "".join(f"{ms:10.1f} ({ms / alone:.2f})" for ms in others)
            print(f"{num_tasks:<3}{method:19}{alone:10.1f}{cells}", flush=True)


def main(_):
    logging.set_verbosity(logging.ERROR)
    if WORKER.value:
        work(WORKER.value)
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    print_bytes()
    if TIMES.value:
        print_times()


if __name__ == "__main__":
    app.run(main)
