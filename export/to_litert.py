"""Turn any Keras file with one output per task into a LiteRT file.

python export/to_litert.py --model=model.keras --output=digits.tflite \
    --task=left:classification --task=right:classification

`--precision=int8` needs examples of the inputs, an .npz file of arrays by the names of the model's inputs:

python export/to_litert.py --model=model.keras --output=digits.tflite --task=left:classification \
    --precision=int8 --representative=images.npz
"""

import keras_file
import numpy as np
from absl import app, flags

from mtl_zoo import exporting, files
from mtl_zoo.exporting.litert import PRECISIONS

PRECISION = flags.DEFINE_enum("precision", PRECISIONS[0], PRECISIONS, "Of weights; int8: of all.")
REPRESENTATIVE = flags.DEFINE_string("representative", None, "For int8: .npz file of arrays by input.")


def read_examples(path, model):
    """Return one batch of inputs from an .npz file."""
    names = [x.name for x in model.inputs]
    try:
        with np.load(files.check_file(path)) as arrays:
            if set(arrays) == set(names):
                return [arrays[name] for name in names]
    except files.UNREADABLE as error:
        raise ValueError(_not_examples(path, names)) from error
    raise ValueError(_not_examples(path, names))


def _not_examples(path, names):
    return f"--representative must be an .npz file of the arrays {names}. Received: {path}"


def export():
    """Export what the flags describe and print the signature as a client will find it."""
    model, tasks = keras_file.load()
    path = REPRESENTATIVE.value
    examples = [read_examples(path, model)] if path else None
    exporting.litert(model, tasks, keras_file.OUTPUT.value, PRECISION.value, examples)
    print("\n".join(exporting.describe(keras_file.OUTPUT.value)))


if __name__ == "__main__":
    app.run(lambda _: keras_file.run(export))
