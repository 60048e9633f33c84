"""Turn any Keras file with one output per task into a TensorFlow SavedModel.

python export/to_saved_model.py --model=model.keras --output=exported/digits/1 \
    --task=left:classification --task=right:classification
"""

import keras_file
from absl import app, flags

from mtl_zoo import exporting
from mtl_zoo.exporting.saved_model import BATCH_SIZES, DEVICES

DEVICE = flags.DEFINE_enum("device", DEVICES[0], DEVICES, "tpu: compiled by XLA, for fixed batch sizes.")
SIZES = flags.DEFINE_list("batch_sizes", [str(size) for size in BATCH_SIZES], "For a TPU.")
BFLOAT16 = flags.DEFINE_bool("bfloat16", False, "Whether layers compute in bfloat16.")


def export():
    """Export what the flags describe and print the signatures as a client will find them."""
    model, tasks = keras_file.load()
    sizes = [int(size) for size in SIZES.value]
    how = {"device": DEVICE.value, "batch_sizes": sizes, "bfloat16": BFLOAT16.value}
    exporting.saved_model(model, tasks, keras_file.OUTPUT.value, **how)
    print("\n".join(exporting.describe(keras_file.OUTPUT.value)))


if __name__ == "__main__":
    app.run(lambda _: keras_file.run(export))
