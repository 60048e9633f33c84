import base64
import http.server
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import threading
from concurrent import futures

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf import wrappers_pb2 as wrappers
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from mtl_zoo import exporting
from mtl_zoo.exporting.serving import WARMUP
from mtl_zoo.task import Task

EXPORT = pathlib.Path(__file__).parents[2] / "export"
TASKS = [Task.classification("left", 3), Task.regression("age", 2)]
SIGNATURES = {
    "serving_default",
    "left",
    "age",
    "features",
    "left_from_features",
    "age_from_features",
    "image_bytes",
    "example",
}
GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (3, 4, 4, 1))
INPUTS = {"image": (PIXELS / 255).astype("float32"), "user-id": np.array([[1], [4], [2]], "int32")}


def two_inputs():
    """An image and an integer with a name that Python does not allow; one shared tensor."""
    image = keras.Input((4, 4, 1), name="image")
    user = keras.Input((1,), dtype="int32", name="user-id")
    parts = [keras.layers.Flatten()(image), keras.layers.Flatten()(keras.layers.Embedding(5, 2)(user))]
    shared = keras.layers.Dense(4, activation="tanh")(keras.layers.Concatenate()(parts))
    outputs = {task.name: keras.layers.Dense(task.output_shape[-1])(shared) for task in TASKS}
    return keras.Model({"image": image, "user-id": user}, outputs)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The path of an export with warm-up requests, and what Keras predicts for their inputs."""
    model, path = two_inputs(), tmp_path_factory.mktemp("exported") / "digits" / "1"
    exporting.saved_model(
        model,
        TASKS,
        path,
        class_names={"left": ["a", "b", "c"]},
        image_bytes=exporting.Pixels(),
        example=True,
        warmup=INPUTS,
    )
    logits = model(INPUTS)
    return path, {task.name: task.activation(logits[task.name]).numpy() for task in TASKS}


def requests_of(path):
    """Read the requests as TensorFlow Serving does: records of `PredictionLog`."""
    records = tf.data.TFRecordDataset(str(path / WARMUP)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log"}
    return {log.predict_log.request.model_spec.signature_name: log.predict_log.request for log in logs}


def signature_defs(path):
    """Read the signatures from the file itself, as TensorFlow Serving does."""
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    found = saved.meta_graphs[0].signature_def
    return {name: signature for name, signature in found.items() if not name.startswith("__")}


def test_every_signature_has_a_request_of_its_names_types_and_shapes(exported):
    path, _ = exported
    requests, signatures = requests_of(path), signature_defs(path)
    assert set(requests) == set(signatures) == SIGNATURES
    for name, signature in signatures.items():
        assert set(requests[name].inputs) == set(signature.inputs)
        for key, info in signature.inputs.items():
            given = requests[name].inputs[key]
            assert given.dtype == info.dtype
            assert given.tensor_shape.dim[0].size == 3
            shape = tf.TensorShape(info.tensor_shape)
            assert shape.is_compatible_with(tf.TensorShape(given.tensor_shape))
    assert set(requests["left"].inputs) == {"image", "user-id"}


def test_every_request_is_answered_as_keras_does(exported):
    path, expected = exported
    replayed = dict(exporting.replay_warmup(path))
    assert set(replayed) == SIGNATURES
    for name, outputs in replayed.items():
        assert name == "features" or set(outputs) & set(expected)
        for task in set(outputs) & set(expected):
            np.testing.assert_allclose(outputs[task], expected[task], rtol=1e-5, atol=1e-5)
    assert "age" not in replayed["left_from_features"]


def test_the_card_is_not_about_the_requests(exported):
    path, _ = exported
    assert (path / WARMUP).is_file()
    assert [name for name in exporting.read_card(path)["sha256"] if "extra" in name] == []


def test_requests_have_the_batch_sizes_of_signatures(tmp_path):
    x = keras.Input((2,), name="x")
    shared = keras.layers.Dense(3)(x)
    model = keras.Model(x, {"a": keras.layers.Dense(1)(shared), "b": keras.layers.Dense(1)(shared)})
    tasks, rows = [Task.regression("a"), Task.regression("b")], np.array([[1, 2], [3, 4], [5, 6]])
    exporting.saved_model(model, tasks, tmp_path / "1", device="tpu", batch_sizes=[2, 4], warmup={"x": rows})
    expected = model(rows[[0, 1, 2, 0]].astype("float32"))["a"].numpy()
    replayed = dict(exporting.replay_warmup(tmp_path / "1"))
    assert len(replayed) == 2 * (1 + 2 + 1 + 2)
    for name in ("serving_default", "a", "a_from_features"):
        for size in (2, 4):
            outputs = replayed[f"{name}_batch_{size}"]
            np.testing.assert_allclose(outputs["a"], expected[:size], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image": INPUTS["image"]}, "must hold 'user-id'"),
        (INPUTS | {"user-id": [[1]]}, "arrays of one batch size"),
        ({"image": INPUTS["image"][:0], "user-id": INPUTS["user-id"][:0]}, "at least one example"),
        (INPUTS | {"user-id": [[1, 1]] * 3}, r"'user-id'.* must have shape \(None, 1\).*\(3, 2\)"),
        (INPUTS | {"image_bytes": [b"no image"] * 3}, "must answer its request.*Unknown image file"),
    ],
)
def test_wrong_inputs_leave_the_requests_as_they_were(exported, inputs, message):
    path, _ = exported
    before = (path / WARMUP).read_bytes()
    with pytest.raises(ValueError, match=message):
        exporting.write_warmup(path, inputs)
    assert (path / WARMUP).read_bytes() == before
    assert [file.name for file in (path / WARMUP).parent.iterdir()] == [(path / WARMUP).name]


def test_a_failed_warm_up_leaves_no_export(tmp_path):
    with pytest.raises(ValueError, match="must hold 'user-id'"):
        exporting.saved_model(two_inputs(), TASKS, tmp_path / "1", warmup={"image": INPUTS["image"]})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def model_with_requests(tmp_path):
    """Return a function that writes bytes, or requests, as the warm-up of a small SavedModel."""
    module = tf.Module()
    double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path), {"double": double})

    def write(*requests):
        (tmp_path / WARMUP).parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(tmp_path / WARMUP)) as writer:
            for request in requests:
                log = prediction_log_pb2.PredictLog(request=request)
                writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
        return tmp_path

    return write


def request_for(signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return request


def test_replay_answers_requests_of_any_origin_and_write_replaces_them(model_with_requests):
    path = model_with_requests(request_for("double", x=[1.5]), request_for("double", x=[1.0, 2.0]))
    assert [outputs["y"].tolist() for _, outputs in exporting.replay_warmup(path)] == [[3.0], [2.0, 4.0]]
    exporting.write_warmup(path, {"x": [4.0]})
    ((name, outputs),) = exporting.replay_warmup(path)
    assert (name, outputs["y"].tolist()) == ("double", [8.0])


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (request_for("halve", x=[1.0]), "must be for one of double. Received: 'halve'"),
        (request_for("double", y=[1.0]), "must have the inputs x. Received: y"),
        (request_for("double", x=["a"]), "'double' must answer its request"),
    ],
)
def test_replay_refuses_what_a_server_would(model_with_requests, request_, message):
    with pytest.raises(ValueError, match=message):
        exporting.replay_warmup(model_with_requests(request_))


def test_replay_needs_records(model_with_requests):
    path = model_with_requests()
    for content in (b"", b"bytes that are no records"):
        (path / WARMUP).write_bytes(content)
        with pytest.raises(ValueError, match="must be records of `PredictionLog`"):
            exporting.replay_warmup(path)
    (path / WARMUP).unlink()
    with pytest.raises(FileNotFoundError, match="There must be warm-up requests"):
        exporting.replay_warmup(path)


def test_without_the_extra_an_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'mtl-zoo[export]'")):
        exporting.write_warmup(tmp_path, {"x": [1.0]})


def test_models_config_is_a_model_server_config():
    text = (EXPORT / "serving" / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("digits", "/models/digits", "tensorflow")


def batching_parameters():
    """Return the message `BatchingParameters` of TensorFlow Serving, which is in no Python package.

    Its fields are those of tensorflow_serving/servables/tensorflow/session_bundle_config.proto.
    """
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", package="test", syntax="proto3")
    file.dependency.append(wrappers.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    kinds, sizes = descriptor_pb2.FieldDescriptorProto, ("max_batch_size", "batch_timeout_micros")
    for number, name in enumerate([*sizes, "max_enqueued_batches", "num_batch_threads"], 1):
        integer = ".google.protobuf.Int64Value"
        message.field.add(name=name, number=number, type=kinds.TYPE_MESSAGE, label=1, type_name=integer)
    string = ".google.protobuf.StringValue"
    message.field.add(name="thread_pool_name", number=5, type=kinds.TYPE_MESSAGE, label=1, type_name=string)
    message.field.add(name="allowed_batch_sizes", number=6, type=kinds.TYPE_INT64, label=3)
    message.field.add(name="pad_variable_length_inputs", number=7, type=kinds.TYPE_BOOL, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.BatchingParameters"))()


def test_batching_config_holds_batching_parameters():
    batching = text_format.Parse((EXPORT / "serving" / "batching.config").read_text(), batching_parameters())
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == batching.max_batch_size.value  # TensorFlow Serving refuses it otherwise
    assert min(batching.num_batch_threads.value, batching.max_enqueued_batches.value) > 0


def test_compose_file_mounts_what_the_server_reads():
    text = (EXPORT / "serving" / "compose.yaml").read_text()
    mounts = dict(re.findall(r'- "(\S+):(/\S+):ro"', text))
    files = re.findall(r'- "--\w+_file=(\S+)"', text)
    assert sorted(files) == ["/config/batching.config", "/config/models.config"]
    for place, inside in mounts.items():
        assert place.startswith("${MODELS:-") or (EXPORT / "serving" / place).is_file()
        assert inside in files or inside == "/models"
    assert set(files) < set(mounts.values())


def client(name):
    spec = importlib.util.spec_from_file_location(name, EXPORT / "clients" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers like TensorFlow Serving, with a loaded SavedModel."""

    def __init__(self, path):
        self.loaded = tf.saved_model.load(str(path))

    def Predict(self, request, context):
        if (request.model_spec.name, request.model_spec.version.value) not in {("digits", 0), ("digits", 1)}:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")
        signature = self.loaded.signatures[request.model_spec.signature_name]
        tensors = {key: tf.constant(tf.make_ndarray(proto)) for key, proto in request.inputs.items()}
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for key, output in signature(**tensors).items():
            if not request.output_filter or key in request.output_filter:
                response.outputs[key].CopyFrom(tf.make_tensor_proto(output.numpy()))
        return response


@pytest.fixture(scope="module")
def grpc_address(exported):
    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(exported[0]), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_grpc_client_predicts(exported, grpc_address):
    predict, (_, expected) = client("grpc_client").predict, exported
    with grpc.insecure_channel(grpc_address) as channel:
        answer = predict(channel, "digits", INPUTS)
        assert set(answer) == {"left", "age", "left_class_id", "left_class_name"}
        for task, predictions in expected.items():
            np.testing.assert_allclose(answer[task], predictions, rtol=1e-5, atol=1e-5)
        names = [b"abc"[index : index + 1] for index in expected["left"].argmax(-1)]
        assert answer["left_class_name"].tolist() == names
        (key,) = predict(channel, "digits", INPUTS, "left", version=1, outputs=["left_class_id"])
        assert key == "left_class_id"
        with pytest.raises(grpc.RpcError, match="Servable not found"):
            predict(channel, "digits", INPUTS, version=7)


def test_grpc_client_is_a_program(exported, grpc_address, tmp_path, monkeypatch, capsys):
    module = client("grpc_client")
    np.savez(tmp_path / "inputs.npz", **INPUTS)
    options = f"--server={grpc_address} --inputs={tmp_path}/inputs.npz --outputs={tmp_path}/outputs.npz"
    monkeypatch.setattr(sys, "argv", ["grpc_client", *options.split(), "--model=digits", "--signature=left"])
    module.main()
    assert "left float32 (3, 3)" in capsys.readouterr().out.splitlines()
    with np.load(tmp_path / "outputs.npz") as outputs:
        np.testing.assert_allclose(outputs["left"], exported[1]["left"], rtol=1e-5, atol=1e-5)
        assert outputs["left_class_name"].dtype == "S1"
    monkeypatch.setattr(sys, "argv", ["grpc_client", *options.split(), "--model=digit"])
    with pytest.raises(SystemExit, match=r"^grpc_client: NOT_FOUND: Servable not found for request$"):
        module.main()


def rest_handler(loaded):
    """Return a handler that answers as TensorFlow Serving's REST API is documented, in columns."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not re.fullmatch(r"/v1/models/digits(/versions/1)?:predict", self.path):
                return self.reply(404, {"error": "Servable not found\nfor request"})
            assert set(body) == {"signature_name", "inputs"}
            signature = loaded.signatures[body["signature_name"]]
            specs = {spec.name: spec for spec in signature.structured_input_signature[1].values()}
            tensors = {key: tensor(value, specs[key].dtype) for key, value in body["inputs"].items()}
            outputs = {key: plain(output.numpy()) for key, output in signature(**tensors).items()}
            only = next(iter(outputs.values())) if len(outputs) == 1 else outputs
            return self.reply(200, {"outputs": only})

        def reply(self, code, answer):
            encoded = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *_):
            pass

    return Handler


def tensor(value, dtype):
    if dtype != tf.string:
        return tf.constant(value, dtype)
    return tf.constant([base64.b64decode(x["b64"]) if isinstance(x, dict) else x for x in value])


def plain(array):
    return [x.decode() for x in array] if array.dtype == object else array.tolist()


@pytest.fixture(scope="module")
def rest_address(exported):
    loaded = tf.saved_model.load(str(exported[0]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), rest_handler(loaded)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_rest_client_predicts(exported, rest_address):
    predict, (_, expected) = client("rest_client").predict, exported
    inputs = {name: array.tolist() for name, array in INPUTS.items()}
    answer = predict(rest_address, "digits", inputs)
    for task, predictions in expected.items():
        np.testing.assert_allclose(answer[task], predictions, rtol=1e-5, atol=1e-5)
    assert answer["left_class_name"] == ["abc"[index] for index in expected["left"].argmax(-1)]
    age = predict(rest_address, "digits", inputs, "age", version=1)  # one output: no dict
    np.testing.assert_allclose(age, expected["age"], rtol=1e-5, atol=1e-5)
    encoded = {"image_bytes": [tf.io.encode_png(x).numpy() for x in PIXELS.astype("uint8")]}
    answer = predict(rest_address, "digits", encoded | {"user-id": inputs["user-id"]}, "image_bytes")
    np.testing.assert_allclose(answer["left"], expected["left"], rtol=1e-5, atol=1e-5)


def rest_client(*options):
    """Run the client with the standard library alone."""
    command = [sys.executable, "-I", "-S", str(EXPORT / "clients" / "rest_client.py"), *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_rest_client_is_a_program(exported, rest_address, tmp_path):
    image = tmp_path / "photo.png"
    image.write_bytes(tf.io.encode_png(PIXELS[0].astype("uint8")).numpy())
    (tmp_path / "inputs.json").write_text(json.dumps({"user-id": INPUTS["user-id"][:1].tolist()}))
    options = [f"--server={rest_address}", f"--inputs={tmp_path}/inputs.json", "--signature=image_bytes"]
    process = rest_client(*options, "--model=digits", "--files", f"image_bytes={image}")
    left = json.loads(process.stdout)["left"]
    np.testing.assert_allclose(left, exported[1]["left"][:1], rtol=1e-5, atol=1e-5)
    process = rest_client(*options, "--model=digit")
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == 'rest_client: 404: {"error": "Servable not found\\nfor request"}\n'
    process = rest_client("--server=http://127.0.0.1:9", "--model=digits")
    assert process.returncode == 1
    assert re.fullmatch(r"rest_client: .*refused.*\n", process.stderr)
