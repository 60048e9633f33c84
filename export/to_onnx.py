"""Turn any Keras file with one output per task into an ONNX file: `mtl-zoo export --format=onnx`.

python export/to_onnx.py --model=model.keras --output=digits.onnx \
    --task=left:classification --task=right:classification
"""

import sys

from mtl_zoo.command_line.main import main

if __name__ == "__main__":
    sys.exit(main(["export", "--format=onnx", *sys.argv[1:]]))
