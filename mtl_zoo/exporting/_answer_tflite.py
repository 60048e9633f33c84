"""Answers batches with a LiteRT file; `verify` runs it where neither Keras nor this library can be imported.

python -P _answer_tflite.py ARTEFACT FOLDER

For every `inputs_*.npz` in the folder (arrays by the names of the model's inputs) it writes `outputs_*.npz`,
predictions by `task`. A file for batches of one size gets them one after the other, the last one filled up.
"""

import pathlib
import sys


def main(artefact, folder):
    """Answer every batch."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    predict = Interpreter(artefact).get_signature_runner("serving_default")
    details = predict.get_input_details()
    types = {name: x["dtype"] for name, x in details.items()}
    size = max(x["shape_signature"][0] for x in details.values())  # -1 if it is free
    for batch in pathlib.Path(folder).glob("inputs_*.npz"):
        with np.load(batch) as arrays:
            inputs = {name: array.astype(types[name]) for name, array in arrays.items()}
        number = len(next(iter(inputs.values())))
        step = number if size < 0 else size
        parts = [np.arange(start, start + step) % number for start in range(0, number, step)]
        found = [predict(**{name: array[part] for name, array in inputs.items()}) for part in parts]
        outputs = {name: np.concatenate([x[name] for x in found])[:number] for name in found[0]}
        np.savez(batch.with_name(batch.name.replace("inputs", "outputs")), **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
