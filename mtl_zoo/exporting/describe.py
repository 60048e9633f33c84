"""What a client finds in an artefact."""

import pathlib

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from mtl_zoo.exporting.model_card import read_card
from mtl_zoo.files import check_file


def describe(path):
    """Return one line per signature of an export, with name, type and shape of its inputs and outputs.

    A SavedModel is read; of a file, its card is.
    """
    is_file = pathlib.Path(path).is_file()
    signatures = read_card(path).get("signatures", {}) if is_file else read_signatures(path)
    return [
        f"{name}: {_describe_tensors(signature['inputs'])} -> {_describe_tensors(signature['outputs'])}"
        for name, signature in sorted(signatures.items())
    ]


def read_signatures(path):
    """Return what the signatures of a SavedModel take and answer, by the names that servers and C know.

    Python has others for some, since no parameter can be called `user-id`; but it takes these too.

    Args:
        path: Directory of a SavedModel.

    Returns:
        Dictionary from signatures to `{"inputs": {name: {"shape": [None, 8], "dtype": "float32"}},
        "outputs": ...}`.

    Raises:
        FileNotFoundError: If there is no SavedModel.
        ValueError: If it cannot be read.
    """
    file = check_file(pathlib.Path(path, "saved_model.pb"))
    try:
        (graph,) = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    except (DecodeError, ValueError) as error:
        raise ValueError(f"'{file}' must be that of a SavedModel with one graph. Export again.") from error
    return {
        name: {"inputs": _tensors(definition.inputs), "outputs": _tensors(definition.outputs)}
        for name, definition in sorted(graph.signature_def.items())
        if not name.startswith("__")  # TensorFlow's own
    }


def _tensors(infos):
    return {
        name: {"shape": tf.TensorShape(x.tensor_shape).as_list(), "dtype": tf.as_dtype(x.dtype).name}
        for name, x in sorted(infos.items())
    }


def _describe_tensors(tensors):
    return ", ".join(f"{name} {x['dtype']} {x['shape']}" for name, x in sorted(tensors.items()))
