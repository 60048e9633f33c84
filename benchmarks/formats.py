"""Accuracy, size and latency of one model on `multi_digits` in every format of export.

The model is trained once. Accuracy is that of both tasks on the test set; latency is the median time of a
request of one image for both tasks, each format on one thread, all formats in turns so that a drift of the
machine's speed meets all of them. int8 is calibrated on training images. The benchmark fails if int8 loses
more than one point of accuracy against Keras on any task.

    python benchmarks/formats.py [--epochs=10] [--requests=2000]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib
import statistics
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
from mtl_zoo.exporting.litert import PRECISIONS

EPOCHS = flags.DEFINE_integer("epochs", 10, "Epochs of training.")
REQUESTS = flags.DEFINE_integer("requests", 2000, "Timed requests of every format.")
ARCHITECTURE = flags.DEFINE_string("architecture", "hard_sharing", "Builder.")

DATA = mz.datasets.multi_digits
MAXIMAL_LOSS = 0.01


def train():
    """Return the model of the best epoch by validation loss."""
    keras.utils.set_random_seed(0)
    train, validation = (DATA.load(split, 256) for split in ("train", "validation"))
    model = getattr(mz.architectures, ARCHITECTURE.value)(DATA.inputs(), DATA.TASKS, DATA.encoder())
    trainer = mz.Trainer(model, DATA.TASKS)
    trainer.compile(keras.optimizers.Adam(1e-3))
    best = keras.callbacks.EarlyStopping(patience=EPOCHS.value, restore_best_weights=True)
    trainer.fit(train, validation_data=validation, epochs=EPOCHS.value, verbose=0, callbacks=[best])
    return model


def predictors(model, folder):
    """Export the model; return by format what predicts both tasks for images, and what was written."""
    functions, paths = {"Keras": keras_predictor(model)}, {}
    paths["SavedModel float32"] = folder / "1"
    mz.exporting.saved_model(model, DATA.TASKS, folder / "1")
    functions["SavedModel float32"] = saved_model_predictor(folder / "1")
    for precision in PRECISIONS:
        name, path = f"LiteRT {precision}", folder / f"{precision}.tflite"
        data = DATA.load("train", 256) if precision == "int8" else None
        mz.exporting.litert(model, DATA.TASKS, path, precision, data)
        functions[name], paths[name] = litert_predictor(path), path
    paths["ONNX float32"] = folder / "model.onnx"
    mz.exporting.onnx(model, DATA.TASKS, folder / "model.onnx")
    functions["ONNX float32"] = onnx_predictor(folder / "model.onnx")
    return functions, paths


def keras_predictor(model):
    return lambda images: model.predict_on_batch(images)


def saved_model_predictor(path):
    loaded = tf.saved_model.load(str(path))

    def predict(images):
        outputs = loaded.signatures["serving_default"](image=tf.constant(images))
        return {name: x.numpy() for name, x in outputs.items()}

    return predict


def litert_predictor(path):
    runner = Interpreter(str(path), num_threads=1).get_signature_runner("serving_default")
    return lambda images: runner(image=images)


def onnx_predictor(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [task.name for task in DATA.TASKS]
    return lambda images: dict(zip(names, session.run(names, {"image": images}), strict=True))


def accuracies(predict, batches):
    """Return the accuracy of each task."""
    right = {task.name: [] for task in DATA.TASKS}
    for images, labels in batches:
        predictions = predict(images)
        for name, found in right.items():
            found.append(predictions[name].argmax(-1) == labels[name])
    return {name: np.concatenate(found).mean() for name, found in right.items()}


def latencies(functions, image):
    """Return the median milliseconds of a request, measured in turns after a first one of each."""
    times = {name: [] for name in functions}
    for request in range(REQUESTS.value + 1):
        for name, predict in functions.items():
            start = time.perf_counter()
            predict(image)
            if request:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def size_of(path):
    """Return the bytes of an artefact without its card."""
    if path.is_file():
        return path.stat().st_size
    files = (file for file in path.rglob("*") if file.is_file() and file.name != "model_card.json")
    return sum(file.stat().st_size for file in files)


def main(argv):
    del argv
    tf.config.threading.set_intra_op_parallelism_threads(1)
    model = train()
    batches = list(DATA.load("test", 256).as_numpy_iterator())
    with tempfile.TemporaryDirectory() as folder:
        functions, paths = predictors(model, pathlib.Path(folder))
        found = {name: accuracies(predict, batches) for name, predict in functions.items()}
        times = latencies(functions, batches[0][0][:1])
        sizes = {name: f"{size_of(path):,}" for name, path in paths.items()}
    tasks = [task.name for task in DATA.TASKS]
    print(f"| format | {' | '.join(f'{task} accuracy' for task in tasks)} | bytes | p50, ms |")
    print("|---" * (len(tasks) + 3) + "|")
    for name in functions:
        cells = [f"{found[name][task]:.4f}" for task in tasks]
        print("|", " | ".join([name, *cells, sizes.get(name, ""), f"{times[name]:.3f}"]), "|")
    loss = max(found["Keras"][task] - found["LiteRT int8"][task] for task in tasks)
    if loss > MAXIMAL_LOSS:
        sys.exit(f"int8 must lose at most {MAXIMAL_LOSS:.2f} of accuracy. Received: {loss:.4f}")


if __name__ == "__main__":
    app.run(main)
