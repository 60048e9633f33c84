"""Turn any Keras file with one output per task into a LiteRT file: `mtl-zoo export --format=litert`.

python export/to_litert.py --model=model.keras --output=digits.tflite \
    --task=left:classification --task=right:classification

`--precision=int8` needs examples of the inputs, an .npz file of arrays by the names of the model's inputs:

python export/to_litert.py --model=model.keras --output=digits.tflite --task=left:classification \
    --precision=int8 --representative=images.npz
"""

import sys

from mtl_zoo.command_line.main import main

if __name__ == "__main__":
    sys.exit(main(["export", "--format=litert", *sys.argv[1:]]))
