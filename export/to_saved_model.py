"""Turn any Keras file with one output per task into a SavedModel: `mtl-zoo export --format=saved_model`.

python export/to_saved_model.py --model=model.keras --output=exported/digits/1 \
    --task=left:classification --task=right:classification
"""

import sys

from mtl_zoo.command_line.main import main

if __name__ == "__main__":
    sys.exit(main(["export", "--format=saved_model", *sys.argv[1:]]))
