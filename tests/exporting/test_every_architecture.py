"""Every architecture on every kind of encoder, exported: all answer what Keras answers.

Every combination becomes a SavedModel, and LiteRT or ONNX: converting each to both takes twice as long, and
every format has every architecture and every encoder as it is.
"""

import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.exporting.signatures import submodel
from tests.architectures.harness import MEMBERS
from tests.architectures.test_every_encoder import (
    ARCHITECTURES,
    ENCODERS,
    TASKS,
    TASKS_OF,
    inputs_like,
)
from tests.exporting.harness import operations_of, predictions

pytestmark = pytest.mark.slow
COMBINATIONS = [
    (architecture, encoder)
    for architecture, encoder in itertools.product(ARCHITECTURES, ENCODERS)
    if architecture in MEMBERS or encoder == "tabular"  # what the others are for; each takes long
]
OTHER_FORMATS = ("litert", "onnx")
SIZES = (1, 7, 64)


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def combination(request):
    """A model with weights unlike those of a fresh one, its tasks, and inputs with predictions."""
    architecture, encoder = request.param
    keras.utils.set_random_seed(0)
    make_batch, make_encoder = ENCODERS[encoder]
    random = np.random.default_rng(0)
    x = make_batch(random)
    tasks = TASKS_OF.get(architecture, TASKS)
    model = getattr(mz.architectures, architecture)(inputs_like(x), tasks, make_encoder(x))
    for variable in model.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign_add(random.uniform(0.0, 0.1, variable.shape))
    draws = [tf.nest.flatten(make_batch(random)) for _ in range(11)]
    arrays = {
        tensor.name: np.concatenate(parts)
        for tensor, parts in zip(model.inputs, zip(*draws, strict=True), strict=True)
    }
    batches = [{name: array[:size] for name, array in arrays.items()} for size in SIZES]
    yield model, tasks, [(batch, predictions(model, tasks, batch)) for batch in batches]
    keras.backend.clear_session()


def check(answer, expected, tolerance):
    for task, values in answer.items():
        assert values.shape == expected[task].shape
        np.testing.assert_allclose(values, expected[task], rtol=tolerance, atol=tolerance, err_msg=task)


def test_saved_model(combination, tmp_path):
    model, tasks, batches = combination
    mz.exporting.saved_model(model, tasks, tmp_path / "1")
    loaded = tf.saved_model.load(tmp_path / "1")
    names = {"serving_default": {task.name for task in tasks}, **{task.name: {task.name} for task in tasks}}
    for batch, expected in batches:
        inputs = {name: tf.constant(array) for name, array in batch.items()}
        for name, wanted in names.items():
            answer = loaded.signatures[name](**inputs)
            assert set(answer) == wanted
            check(answer, expected, 1e-5)
        check_parts(loaded.signatures, inputs, expected)
    check_graphs(model, tasks, loaded, operations_of(tmp_path / "1"))


def check_parts(signatures, inputs, expected):
    """Check the heads on features, where there are any."""
    if "features" in signatures:
        features = signatures["features"](**inputs)
        for task in expected:
            check(signatures[f"{task}_from_features"](**features), expected, 1e-5)


def check_graphs(model, tasks, loaded, operations):
    """Check that a task's signature has operations and variables of its own head, and of no other."""
    whole = submodel(model, tasks)
    indices = {id(variable): index for index, variable in enumerate(whole.variables)}
    parts = {task.name: submodel(model, [task]) for task in tasks}
    variables = {name: {indices[id(variable)] for variable in x.variables} for name, x in parts.items()}
    layers = {name: {layer.name for layer in x.layers if layer.variables} for name, x in parts.items()}
    handles = {id(x.handle): index for index, x in enumerate(loaded.variables_of_model)}
    for name in parts:
        captured = {handles.get(id(x)) for x in loaded.signatures[name].captured_inputs}
        scopes = {part for operation in operations[name] for part in operation.split("/")}
        scopes |= {re.sub(r"_\d+$", "", scope) for scope in scopes}
        for found, reached in ((captured, variables), (scopes, layers)):
            others = set().union(*reached.values()) - reached[name]
            own = reached[name] - set().union(*(x for other, x in reached.items() if other != name))
            assert not found & others, f"'{name}' has {found & others} of another task"
            assert found & own or not own, f"'{name}' lacks its own head"


def other_format(architecture, encoder):
    """Return the format besides SavedModel: neighbours in the table of combinations have different ones."""
    return OTHER_FORMATS[(ARCHITECTURES.index(architecture) + list(ENCODERS).index(encoder)) % 2]


def test_every_format_has_every_architecture_and_every_encoder():
    of_all_encoders = list(itertools.product(MEMBERS, ENCODERS))
    for index, kind in enumerate((MEMBERS, ENCODERS)):
        chosen = {(combination[index], other_format(*combination)) for combination in of_all_encoders}
        assert chosen == set(itertools.product(kind, OTHER_FORMATS))


def test_litert_or_onnx(combination, request, tmp_path):
    check_format = {"litert": check_litert, "onnx": check_onnx}
    check_format[other_format(*request.node.callspec.params["combination"])](*combination, tmp_path)


def check_litert(model, tasks, batches, tmp_path):
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    mz.exporting.litert(model, tasks, tmp_path / "model.tflite")
    interpreter = interpreters.Interpreter(str(tmp_path / "model.tflite"))
    runner = interpreter.get_signature_runner("serving_default")
    for batch, expected in batches:
        answer = runner(**batch)
        assert set(answer) == set(expected)
        check(answer, expected, 1e-4)


def check_onnx(model, tasks, batches, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    mz.exporting.onnx(model, tasks, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    for batch, expected in batches:
        inputs = {
            name: array.astype(str) if array.dtype.kind == "S" else array for name, array in batch.items()
        }
        answer = dict(zip(names, session.run(names, inputs), strict=True))
        assert set(answer) == set(expected)
        check(answer, expected, 1e-4)
