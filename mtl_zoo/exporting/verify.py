"""Comparison of an artefact, which runs without this library and Keras, with the model it was made from.

The artefact answers in a process of its own, in which a script runs that can import neither `keras` nor
`mtl_zoo`. The script is found by the artefact's suffix: `_answer_saved_model.py` for a directory,
`_answer_tflite.py` for `model.tflite`. It is called with the artefact and a folder; for every `inputs_*.npz`
there, arrays by the names of the model's inputs, it writes `outputs_*.npz`, predictions by `task`, or by
`anything/task` where the artefact has several ways to answer.
"""

import dataclasses
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np

from mtl_zoo import arguments
from mtl_zoo.exporting import signatures
from mtl_zoo.exporting.inputs import by_name
from mtl_zoo.exporting.model_card import check_files
from mtl_zoo.exporting.signatures import DEFAULT
from mtl_zoo.spaces import with_spaces
from mtl_zoo.training.task_metrics import TaskMetrics
from mtl_zoo.validation import check_tasks

SCRIPTS = pathlib.Path(__file__).parent

# Runs a script where importing Keras or this library is an error.
RUN = """
import sys
sys.path = [place for place in sys.path if place]  # not the working directory, as `-P` of Python 3.11
import runpy
sys.modules.update(dict.fromkeys(("keras", "tf_keras", "mtl_zoo")))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far an artefact agrees with its model on one task.

    Args:
        task: Name of the task.
        difference: Largest absolute difference of predictions, over all ways to answer.
        scale: Largest absolute prediction of the model, at least 1.
        metrics: Dictionary from names of metrics to pairs, of the model and of the artefact.
    """

    task: str
    difference: float
    scale: float
    metrics: dict

    @property
    def metric_difference(self):
        """Largest absolute difference of a metric; 0 without metrics, and where both are not defined."""
        defined = [pair for pair in self.metrics.values() if not all(map(math.isnan, pair))]
        return float(np.max([0.0, *(abs(a - b) for a, b in defined)]))

    def within(self, tolerance, metric_tolerance):
        """Return whether predictions agree, relative to `scale`, and metrics do; NaN never agrees."""
        close = self.difference <= tolerance * self.scale
        return bool(close and self.metric_difference <= metric_tolerance)


def verify(artefact, model, tasks, batches):
    """Compare the predictions of an artefact with those of a model on labelled data.

    Args:
        artefact: Directory or file that was exported.
        model: The functional `keras.Model` it was exported from.
        tasks: Sequence of `mtl_zoo.Task`.
        batches: Iterable of `(inputs, labels)` or `(inputs, labels, sample_weight)`, for instance a
            `tf.data.Dataset`; at least one.

    Returns:
        List of `Agreement`, one per task.

    Raises:
        FileNotFoundError: If there is no artefact.
        ValueError: If its files are not those that were written, it does not answer, or answers in another
            shape.
    """
    model = check_tasks(model, tasks, graph=True)
    artefact = pathlib.Path(arguments.path("artefact", artefact)).absolute()
    check_files(artefact)
    with tempfile.TemporaryDirectory() as folder:
        comparisons = [_Comparison(task) for task in with_spaces(tasks)]
        expected = _write_inputs(model, tasks, batches, pathlib.Path(folder))
        _answer(artefact, folder)
        for index, (labels, weights, predictions, inputs) in enumerate(expected):
            with np.load(pathlib.Path(folder, f"outputs_{index}.npz")) as outputs:
                for comparison in comparisons:
                    name = comparison.task.name
                    comparison.add(labels, weights, predictions[name], _ways(outputs, name), inputs)
    return [comparison.result() for comparison in comparisons]


def answer(artefact, names, batches):
    """Return what an artefact predicts, which answers in a process without Keras and this library.

    Args:
        artefact: Directory or file that was exported.
        names: Sequence of the names of tasks.
        batches: Iterable of dictionaries of arrays by the names of the inputs; at least one.

    Returns:
        Dictionary from tasks to arrays of the predictions for all batches.

    Raises:
        FileNotFoundError: If there is no artefact.
        ValueError: If it does not answer.
    """
    artefact = pathlib.Path(arguments.path("artefact", artefact)).absolute()
    check_files(artefact)
    with tempfile.TemporaryDirectory() as folder:
        count = 0
        for inputs in batches:
            arrays = {name: _array(value) for name, value in inputs.items()}
            np.savez(pathlib.Path(folder, f"inputs_{count}.npz"), **arrays)
            count += 1
        _answer(artefact, folder)
        parts = [_main_answers(pathlib.Path(folder, f"outputs_{i}.npz"), names) for i in range(count)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


class _Comparison:
    """Collects what is known of one task, batch by batch."""

    def __init__(self, task):
        self.task = task
        self.differences, self.scales = [], [1.0]
        self.metrics = [TaskMetrics(task) for _ in range(2)]

    def add(self, labels, weights, expected, found, inputs):
        for prediction in found:
            if prediction.shape != expected.shape:
                raise ValueError(
                    f"The answer for task '{self.task.name}' must have shape {expected.shape}. "
                    f"Received: shape={prediction.shape}"
                )
            self.differences.append(np.max(np.abs(prediction - expected)))
        self.scales.append(np.max(np.abs(expected)))
        for metrics, predictions in zip(self.metrics, (expected, found[0]), strict=True):
            given = self.task.labels_of(labels)
            items = self.task.items(given, predictions, weights)
            metrics.update_state(items, given, weights, predictions=items[1], inputs=inputs)

    def result(self):
        ours, theirs = [{name: float(x) for name, x in m.results().items()} for m in self.metrics]
        pairs = {name.removeprefix(f"{self.task.name}_"): (ours[name], theirs[name]) for name in ours}
        difference, scale = float(np.max(self.differences)), float(np.max(self.scales))
        return Agreement(self.task.name, difference, scale, pairs)


def _write_inputs(model, tasks, batches, folder):
    """Write the inputs of all batches; return labels, sample weights, predictions and inputs of each."""
    expected = []
    for index, batch in enumerate(batches):
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        logits = model(x, training=False)
        arrays = {name: _array(value) for name, value in by_name(model, x).items()}
        np.savez(folder / f"inputs_{index}.npz", **arrays)
        predictions = {task.name: _predictions(task, logits[task.name]) for task in tasks}
        expected.append((labels, weights, predictions, by_name(model, x)))
    if not expected:
        raise ValueError("There must be at least one batch to compare on.")
    return expected


def _predictions(task, logits):
    return keras.ops.convert_to_numpy(signatures.predictions(task, logits))


def _array(value):
    """Return an array that a file can hold without pickle: strings as bytes of one length."""
    array = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
    return array.astype(bytes) if array.dtype == object else array


def _answer(artefact, folder):
    """Let the artefact answer all inputs in a folder, in a fresh process."""
    script = SCRIPTS / f"_answer_{artefact.suffix[1:] if artefact.is_file() else 'saved_model'}.py"
    if not script.is_file():
        kinds = sorted(path.stem.removeprefix("_answer_") for path in SCRIPTS.glob("_answer_*.py"))
        raise ValueError(f"An export must be one of {', '.join(kinds)}. Received: '{artefact}'")
    command = [sys.executable, "-c", RUN, str(script), str(artefact), str(folder)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        raise ValueError(f"'{artefact}' must answer without Keras. Received: {lines[-1]}")


def _main_answers(path, names):
    """Return what the signature for all tasks answered, by their names."""
    with np.load(path) as outputs:
        return {name: (_ways(outputs, name, DEFAULT) or _ways(outputs, name))[0] for name in names}


def _ways(outputs, task, signature=""):
    """Return the answers for a task, of the signatures whose names begin so."""
    names = [key for key in outputs.files if key.rpartition("/")[2] == task and key.startswith(signature)]
    found = [outputs[key] for key in names]
    if not found and not signature:
        raise ValueError(f"The export must answer task '{task}'. Received: {', '.join(outputs.files)}")
    return found
