"""Turn any Keras file with one output per task into an ONNX file.

python export/to_onnx.py --model=model.keras --output=digits.onnx \
    --task=left:classification --task=right:classification
"""

import keras_file
from absl import app

from mtl_zoo import exporting


def export():
    """Export what the flags describe and print the signature as a client will find it."""
    model, tasks = keras_file.load()
    exporting.onnx(model, tasks, keras_file.OUTPUT.value)
    print("\n".join(exporting.describe(keras_file.OUTPUT.value)))


if __name__ == "__main__":
    app.run(lambda _: keras_file.run(export))
