"""Answers batches with a SavedModel; `verify` runs it where neither Keras nor this library can be imported.

python -P _answer_saved_model.py ARTEFACT FOLDER

For every `inputs_*.npz` in the folder (arrays by the names of the model's inputs) it writes `outputs_*.npz`,
with keys `signature/output`: what all signatures answer that take these inputs, and what the heads on
features make of the answer of `features`.
"""

import pathlib
import re
import sys


def main(artefact, folder):
    """Answer every batch."""
    import numpy as np
    import tensorflow as tf

    loaded, specs = tf.saved_model.load(artefact), inputs_of(artefact)
    for batch in pathlib.Path(folder).glob("inputs_*.npz"):
        with np.load(batch) as inputs:
            outputs = answers(loaded.signatures, specs, dict(inputs))
        for name, features in features_of(outputs).items():
            heads = {key: x for key, x in loaded.signatures.items() if key.endswith(name)}
            outputs |= answers(heads, specs, features)
        np.savez(batch.with_name(batch.name.replace("inputs", "outputs")), **outputs)


def inputs_of(artefact):
    """Return the inputs of the signatures by the names that a server knows; Python's may be others."""
    from tensorflow.core.protobuf import saved_model_pb2

    text = pathlib.Path(artefact, "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(text).meta_graphs
    return {name: dict(definition.inputs) for name, definition in graph.signature_def.items()}


def answers(signatures, specs, inputs):
    """Return the outputs of all signatures that take the inputs, by `signature/output`."""
    found = {}
    for name, signature in sorted(signatures.items(), key=lambda item: not item[0].startswith("serving")):
        if set(specs[name]) == set(inputs):
            outputs = in_chunks(signature, specs[name], inputs)
            found |= {f"{name}/{key}": array for key, array in outputs.items()}
    return found


def in_chunks(signature, specs, inputs):
    """Call a signature; one with a fixed batch size repeatedly, the last chunk filled with copies."""
    import numpy as np
    import tensorflow as tf

    length = len(next(iter(inputs.values())))
    size = next(iter(specs.values())).tensor_shape.dim[0].size
    size = length if size < 0 else size
    chunks = []
    for start in range(0, length, size):
        rows = np.minimum(np.arange(start, start + size), length - 1)
        tensors = {name: tf.constant(array[rows], specs[name].dtype) for name, array in inputs.items()}
        chunks.append({name: x.numpy()[: length - start] for name, x in signature(**tensors).items()})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def features_of(outputs):
    """Return the answers of `features` and its variants of fixed batch size, by the heads' ending."""
    found = {}
    for key, array in outputs.items():
        signature, output = key.split("/")
        if re.fullmatch(r"features(_batch_\d+)?", signature):
            found.setdefault(signature.replace("features", "_from_features", 1), {})[output] = array
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
