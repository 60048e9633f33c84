"""The program `mtl-zoo` answers questions before it imports the library, which takes TensorFlow's time."""

import importlib
import os
import sys


def answers_first():
    """Return whether `mtl_zoo` is being imported to run `mtl-zoo` or `python -m mtl_zoo`, and waits."""
    name = os.path.basename((getattr(sys, "argv", None) or [""])[0])  # `-m` while Python looks for the module
    is_program = name in ("mtl-zoo", "mtl-zoo.exe") or (name == "-m" and "mtl_zoo" in sys.orig_argv)
    return is_program and "mtl_zoo.command_line" not in sys.modules


def load_library():
    """Import the library whole, unless it is there: models need all its layers to be registered."""
    library = sys.modules[__package__]
    if not hasattr(library, "Trainer"):
        importlib.reload(library)
