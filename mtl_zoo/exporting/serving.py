"""Warm-up requests for TensorFlow Serving."""

import pathlib
import re

import numpy as np
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.exporting.describe import read_signatures
from mtl_zoo.exporting.files import writing
from mtl_zoo.exporting.model_card import check_files
from mtl_zoo.exporting.raw_inputs import EXAMPLES, IMAGE_BYTES, PREPROCESSING
from mtl_zoo.extras import check_installed
from mtl_zoo.files import read_json, replaced

WARMUP = "assets.extra/tf_serving_warmup_requests"


def write_warmup(path, inputs):
    """Add warm-up requests to a SavedModel, one for every signature.

    TensorFlow Serving answers them before a version counts as loaded, so that the first client does not wait
    until graphs are optimized, memory is found and, where used, XLA has compiled. What the signatures on
    features, encoded images and examples take is computed from `inputs`.

    Every request is answered here first: TensorFlow Serving refuses a version with one that fails. Requests
    that are there already are replaced. The checksums in the model card are not about this file.

    Args:
        path: Directory of a SavedModel by `mtl_zoo.exporting.saved_model`.
        inputs: Dictionary from names of inputs to arrays `[batch, ...]`, like those to come. Requests have
            their batch size, or that of the signature; rows are then repeated or left out. `image_bytes`, an
            array of encoded images, may be among them. Defaults for these are PNGs of the images.

    Raises:
        ImportError: If tensorflow-serving-api is not installed, which the extra `export` of this package
            asks for.
        OSError: If there is no SavedModel.
        ValueError: If `inputs` lacks what a signature takes, or its shape is another.

    Example:
    ```python
    mz.exporting.saved_model(model, tasks, "exported/digits/1")
    mz.exporting.write_warmup("exported/digits/1", {"image": images[:1]})
    ```

    Reference:
        [SavedModel Warmup](https://www.tensorflow.org/tfx/serving/saved_model_warmup)
    """
    check_installed("tensorflow_serving.apis", "Warm-up requests need", "export")
    check_files(arguments.path("path", path))
    arguments.mapping("inputs", inputs)
    loaded = tf.saved_model.load(str(path))
    logs = _logs(loaded.signatures, _inputs_of(path), _given(path, inputs))
    file = pathlib.Path(path, WARMUP)
    file.parent.mkdir(exist_ok=True)
    with writing(file), replaced(file) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def replay_warmup(path):
    """Answer the warm-up requests of a SavedModel, as TensorFlow Serving does when it loads it.

    Args:
        path: Directory of a SavedModel.

    Returns:
        List of pairs of a signature's name and its outputs, a dictionary of arrays, one per request.

    Raises:
        ImportError: As for `write_warmup`.
        OSError: If there is no SavedModel, or no requests.
        ValueError: If a request cannot be read, or is not one that its signature takes.

    Example:
    ```python
    for signature, outputs in mz.exporting.replay_warmup("exported/digits/1"):
        print(signature, *outputs)
    ```
    """
    check_installed("tensorflow_serving.apis", "Warm-up requests need", "export")
    from tensorflow_serving.apis import prediction_log_pb2

    file = pathlib.Path(path, WARMUP)
    if not file.is_file():
        raise FileNotFoundError(f"There must be warm-up requests at '{file}'.")
    check_files(path)
    loaded = tf.saved_model.load(str(path))
    try:
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(file))]
        requests = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    except Exception as error:  # tf.errors.DataLossError, or protobuf's DecodeError of several modules
        reason = str(error).splitlines()[0]
        raise ValueError(f"'{file}' must be records of `PredictionLog`. Received: {reason}") from error
    if not requests:
        raise ValueError(f"'{file}' must be records of `PredictionLog`. Received: none")
    specs = _inputs_of(path)
    return [_replay(loaded.signatures, specs, log.predict_log.request) for log in requests]


def _given(path, inputs):
    """Return the inputs as arrays, with encoded images and examples."""
    arrays = {name: tf.constant(array).numpy() for name, array in inputs.items()}
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(
            f"`inputs` must hold arrays of one batch size, at least one example. Received: {lengths}"
        )
    file = pathlib.Path(path, "assets", PREPROCESSING)
    preprocessing = read_json(file) if file.is_file() else {}
    image, examples = preprocessing.get("image_bytes"), preprocessing.get("example")
    if image and IMAGE_BYTES not in arrays:
        arrays[IMAGE_BYTES] = _encoded(_found(arrays, image["input"]), image)
    if examples and EXAMPLES not in arrays:
        encoded = {image["input"]: arrays[IMAGE_BYTES]} if image else {}
        columns = {name: encoded.get(name, _found(arrays, name)) for name in examples}
        arrays[EXAMPLES] = _examples(columns, {name: x["dtype"] for name, x in examples.items()})
    return arrays


def _found(arrays, name):
    if name not in arrays:
        raise ValueError(f"`inputs` must hold '{name}'. Received: {', '.join(arrays)}")
    return arrays[name]


def _encoded(images, constants):
    """Return PNGs of what the signature `image_bytes` would turn into `images`."""
    pixels = (images - np.asarray(constants["offset"])) / np.asarray(constants["scale"])
    pixels = np.clip(np.rint(pixels), 0, 255).astype("uint8")
    return np.asarray([tf.io.encode_png(image).numpy() for image in pixels], object)


def _examples(columns, dtypes):
    """Return one serialized `tf.train.Example` per row of the columns."""
    rows = zip(*columns.values(), strict=True)
    return np.asarray([_example(dict(zip(columns, row, strict=True)), dtypes) for row in rows], object)


def _example(row, dtypes):
    features = {name: _feature(np.ravel(value), dtypes[name]) for name, value in row.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _feature(values, dtype):
    if dtype == "string":
        encoded = [tf.compat.as_bytes(value) for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    if dtype == "int64":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values.astype(dtype)))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values.astype(dtype)))


def _inputs_of(path):
    """Return what the signatures of a SavedModel take."""
    return {name: signature["inputs"] for name, signature in read_signatures(path).items()}


def _logs(signatures, specs, arrays):
    """Return one `PredictionLog` per signature, each answered once; heads take what `features` answers."""
    from tensorflow_serving.apis import prediction_log_pb2 as prediction

    logs, features = [], {}
    for name in sorted(signatures, key=lambda name: (not _is_features(name), name)):
        given = arrays | features if "_from_features" in name else arrays
        request = _request(name, specs[name], given)
        _, outputs = _replay(signatures, specs, request)
        features |= outputs if _is_features(name) else {}
        logs.append(prediction.PredictionLog(predict_log=prediction.PredictLog(request=request)))
    return logs


def _is_features(name):
    return re.fullmatch(r"features(_batch_\d+)?", name)


def _request(name, specs, arrays):
    from tensorflow_serving.apis import model_pb2, predict_pb2

    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=name))
    for key, spec in sorted(specs.items()):
        shape, dtype = tf.TensorShape(spec["shape"]), tf.as_dtype(spec["dtype"])
        rows = _rows(_found(arrays, key), shape)
        if not shape.is_compatible_with(rows.shape):
            raise ValueError(
                f"Input '{key}' of signature '{name}' must have shape {shape}. Received: shape={rows.shape}"
            )
        request.inputs[key].CopyFrom(tf.make_tensor_proto(_cast(rows, dtype), dtype))
    return request


def _rows(array, shape):
    """Return as many rows as a signature takes; all where it takes any number."""
    size = shape[0] if shape.rank else None
    return array if size is None else array[np.arange(size) % len(array)]


def _cast(array, dtype):
    return array if dtype == tf.string else array.astype(dtype.as_numpy_dtype)


def _replay(signatures, specs, request):
    """Return the signature that a request is for and what it answers."""
    name = request.model_spec.signature_name
    if name not in signatures:
        raise ValueError(f"Requests must be for one of {', '.join(signatures)}. Received: '{name}'")
    wanted, given = specs[name], request.inputs
    if set(given) != set(wanted):
        raise ValueError(
            f"Requests for '{name}' must have the inputs {', '.join(wanted)}. Received: {', '.join(given)}"
        )
    tensors = {key: tf.constant(tf.make_ndarray(proto)) for key, proto in given.items()}
    try:
        outputs = signatures[name](**tensors)
    except (tf.errors.OpError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Signature '{name}' must answer its request. Received: {reason}") from error
    return name, {key: output.numpy() for key, output in outputs.items()}
