"""Latency and throughput of serving: one multi-task model against T single-task models, signatures, formats.

A request is a batch of images in memory and its answer NumPy arrays: no network, no server. Every runtime has
one thread. A client that wants all T answers sends one request to the multi-task SavedModel, or one to each
of T single-task SavedModels, one after the other. These are the multi-task model cut to one task, saved and
loaded on their own, so that the trunks are equal. Weights are random, which speed does not depend on here;
before they are timed, all rows must give the answers of Keras.

All rows run in turns in one process, so that a ratio holds while the machine's speed drifts. p50 and p99 are
over all requests; throughput and its ratios are medians over the rounds. The benchmark fails if at the
largest batch, where computing takes most of the time, the multi-task SavedModel has less than 0.8 T times
the throughput of the single-task ones. At small batches a request's constant cost, which T requests pay T
times, is part of the ratio.

    python benchmarks/serving.py [--tasks=5] [--batch_sizes=1,8,64] [--rounds=10] [--requests=20]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib
import sys
import tempfile
import time

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter

import mtl_zoo as mz

TASKS = flags.DEFINE_integer("tasks", 5, "Number of tasks, T.", lower_bound=2)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "8", "64"], "Numbers of examples in a request.")
ROUNDS = flags.DEFINE_integer("rounds", 10, "Timed rounds of every row.", lower_bound=1)
REQUESTS = flags.DEFINE_integer("requests", 20, "Requests of every row in a round.", lower_bound=1)

SHAPE = 28, 28, 3
ENCODER = [*mz.encoders.convnet(32, 64), *mz.encoders.mlp(128)]
MINIMAL_RATIO = 0.8
TOLERANCE = 1e-4
SINGLE, MULTI = "T single-task SavedModels", "SavedModel, all tasks"


def predictors(model, tasks, folder):
    """Export the model; return by row what turns images into a dict of arrays."""
    saved = load(model, tasks, folder / "multi")
    mz.exporting.litert(model, tasks, folder / "model.tflite")
    mz.exporting.onnx(model, tasks, folder / "model.onnx")
    with_activations = keras.Model(model.input, {t.name: t.activation(model.output[t.name]) for t in tasks})
    return {
        SINGLE: single_task_predictor(model, tasks, folder),
        MULTI: lambda images: call(saved, "serving_default", image=images),
        "SavedModel, one task": lambda images: call(saved, tasks[0].name, image=images),
        "SavedModel, `features`, one head": features_predictor(saved, tasks[:1]),
        "SavedModel, `features`, T heads": features_predictor(saved, tasks),
        "Keras `predict`": lambda images: with_activations.predict(images, len(images), verbose=0),
        "Keras `predict_on_batch`": with_activations.predict_on_batch,
        "LiteRT": litert_predictor(folder / "model.tflite"),
        "ONNX Runtime": onnx_predictor(folder / "model.onnx", tasks),
    }


def load(model, tasks, path):
    mz.exporting.saved_model(model, tasks, path)
    return tf.saved_model.load(str(path))


def call(saved, signature, **inputs):
    """Send one request to a SavedModel."""
    outputs = saved.signatures[signature](**{name: tf.constant(x) for name, x in inputs.items()})
    return {name: x.numpy() for name, x in outputs.items()}


def single_task_predictor(model, tasks, folder):
    """Return what asks T SavedModels, each with a trunk of its own."""
    parts = [keras.Model(model.input, {task.name: model.output[task.name]}) for task in tasks]
    saved = [
        load(part, [task], folder / f"single_{task.name}") for part, task in zip(parts, tasks, strict=True)
    ]

    def predict(images):
        answers = [call(single, "serving_default", image=images) for single in saved]
        return {name: x for answer in answers for name, x in answer.items()}

    return predict


def features_predictor(saved, tasks):
    """Return what asks for the features once, and then for each task's answer to them."""

    def predict(images):
        features = call(saved, "features", image=images)
        answers = [call(saved, f"{task.name}_from_features", **features) for task in tasks]
        return {name: x for answer in answers for name, x in answer.items()}

    return predict


def litert_predictor(path):
    runner = Interpreter(str(path), num_threads=1).get_signature_runner("serving_default")
    return lambda images: runner(image=images)


def onnx_predictor(path, tasks):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [task.name for task in tasks]
    return lambda images: dict(zip(names, session.run(names, {"image": images}), strict=True))


def check_answers(functions, images):
    """Raise an `AssertionError` if a row's answers are not those of Keras. Warms up all rows."""
    expected = functions["Keras `predict`"](images)
    for name, predict in functions.items():
        for task, found in predict(images).items():
            np.testing.assert_allclose(found, expected[task], atol=TOLERANCE, err_msg=f"{name}, {task}")


def measure(functions, images):
    """Run all rows in turns; return by row the seconds `[rounds, requests]` of every request."""
    for _ in range(3):
        check_answers(functions, images)
    rounds = [
        {
            name: [seconds(predict, images) for _ in range(REQUESTS.value)]
            for name, predict in functions.items()
        }
        for _ in range(ROUNDS.value)
    ]
    return {name: np.array([times[name] for times in rounds]) for name in functions}


def seconds(predict, images):
    start = time.perf_counter()
    predict(images)
    return time.perf_counter() - start


def ratio(times, name, reference):
    """Return how many times the throughput of the row `reference` the row `name` has."""
    return np.median(times[reference].sum(1) / times[name].sum(1))


def print_table(times, batch_size):
    print(f"\nbatch {batch_size}, T = {TASKS.value}")
    print(
        "| row | p50, ms | p99, ms | examples/s | throughput ÷ SavedModel, all tasks |\n|---|---|---|---|---|"
    )
    for name, found in times.items():
        p50, p99 = 1000 * np.percentile(found, [50, 99])
        throughput = np.median(batch_size / found.mean(1))
        cells = [f"{p50:.2f}", f"{p99:.2f}", f"{throughput:,.0f}", f"{ratio(times, name, MULTI):.2f}"]
        print("|", " | ".join([name, *cells]), "|", flush=True)


def main(argv):
    del argv
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    tasks = [mz.Task.classification(f"task_{index}", 10) for index in range(TASKS.value)]
    model = mz.architectures.hard_sharing(keras.Input(SHAPE, name="image"), tasks, ENCODER)
    ratios, bound = {}, MINIMAL_RATIO * len(tasks)
    with tempfile.TemporaryDirectory() as folder:
        functions = predictors(model, tasks, pathlib.Path(folder))
        for batch_size in sorted(map(int, BATCH_SIZES.value)):
            images = np.random.default_rng(0).uniform(size=(batch_size, *SHAPE)).astype("float32")
            times = measure(functions, images)
            print_table(times, batch_size)
            ratios[batch_size] = ratio(times, MULTI, SINGLE)
    print(
        f"\nThroughput of one multi-task SavedModel ÷ {len(tasks)} single-task ones; the bound is {bound:.2f}"
    )
    for batch_size, found in ratios.items():
        print(f"batch {batch_size}: {found:.2f}, {'reached' if found >= bound else 'not reached'}")
    largest = max(ratios)
    if ratios[largest] < bound:
        sys.exit(f"At batch {largest} it must be at least {bound:.2f}. Received: {ratios[largest]:.2f}")


if __name__ == "__main__":
    app.run(main)
