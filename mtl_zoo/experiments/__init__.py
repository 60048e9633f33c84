"""What was chosen for a training, the training, and the directory that it leaves behind."""

import importlib

from mtl_zoo.experiments.recipe import Recipe as Recipe

HOMES = {"Run": "mtl_zoo.experiments.run", "train": "mtl_zoo.experiments.training"}


def __getattr__(name):
    """Import `Run` and `train` where they are used: flags need `Recipe` alone, without TensorFlow."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)
