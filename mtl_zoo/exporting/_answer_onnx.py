"""Answers batches with an ONNX file; `verify` runs it where neither Keras nor this library can be imported.

python -P _answer_onnx.py ARTEFACT FOLDER

For every `inputs_*.npz` in the folder (arrays by the names of the model's inputs) it writes `outputs_*.npz`,
predictions by `task`.
"""

import pathlib
import sys


def main(artefact, folder):
    """Answer every batch."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(artefact, providers=["CPUExecutionProvider"])
    tasks = [output.name for output in session.get_outputs()]
    for batch in pathlib.Path(folder).glob("inputs_*.npz"):
        with np.load(batch) as arrays:
            inputs = {x.name: as_input(arrays[x.name], x.type) for x in session.get_inputs()}
        outputs = dict(zip(tasks, session.run(tasks, inputs), strict=True))
        np.savez(batch.with_name(batch.name.replace("inputs", "outputs")), **outputs)


def as_input(array, kind):
    """Return an array as ONNX Runtime takes it: strings as objects, not as bytes."""
    import numpy as np

    if kind == "tensor(string)":
        return np.char.decode(array, "utf-8").astype(object)
    numpy_names = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
    return array.astype(numpy_names.get(kind, kind.removeprefix("tensor(").removesuffix(")")))


if __name__ == "__main__":
    main(*sys.argv[1:])
