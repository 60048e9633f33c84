"""Answers batches with a LiteRT file; `verify` runs it where neither Keras nor this library can be imported.

python -P _answer_tflite.py ARTEFACT FOLDER

For every `inputs_*.npz` in the folder (arrays by the names of the model's inputs) it writes `outputs_*.npz`,
predictions by `task`.
"""

import pathlib
import sys


def main(artefact, folder):
    """Answer every batch."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    predict = Interpreter(artefact).get_signature_runner("serving_default")
    types = {name: details["dtype"] for name, details in predict.get_input_details().items()}
    for batch in pathlib.Path(folder).glob("inputs_*.npz"):
        with np.load(batch) as arrays:
            outputs = predict(**{name: array.astype(types[name]) for name, array in arrays.items()})
        np.savez(batch.with_name(batch.name.replace("inputs", "outputs")), **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
