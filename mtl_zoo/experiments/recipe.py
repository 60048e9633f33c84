"""What is chosen for a training, as `config.json` of its run holds it."""

import math

from mtl_zoo import files
from mtl_zoo.experiments import choices

LOCATIONS = ("data_dir", "manual_dir")
KINDS = {
    **dict.fromkeys(choices.FAMILIES, files.TEXT),
    "tasks": files.Kind("a list of strings or null", lambda x: x is None or files.is_list(x, str)),
    "space": files.TEXT,
    "epochs": files.POSITIVE,
    "batch_size": files.POSITIVE,
    "accumulate": files.POSITIVE,
    "learning_rate": files.Kind("a positive number", lambda x: type(x) in (int, float) and 0 < x < math.inf),
    "seed": files.Kind("an integer from 0 to 2**32 - 1", lambda x: type(x) is int and 0 <= x < 2**32),
    "strategy": files.TEXT,
    "precision": files.TEXT,
    "jit_compile": files.Kind("true or false", lambda x: isinstance(x, bool)),
    "non_finite": files.TEXT,
    **dict.fromkeys(LOCATIONS, files.TEXT_OR_NULL),
}
