"""What the scripts of this folder share: a Keras file and its tasks, from flags."""

import pathlib
import sys

from absl import flags

from mtl_zoo import files
from mtl_zoo.task import Task

KINDS = (
    "classification",
    "binary",
    "multilabel",
    "regression",
    "segmentation",
    "dense_regression",
    "tagging",
)

MODEL = flags.DEFINE_string("model", None, "Keras file (.keras) with a dict of logits.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "What to write; it must not exist.", required=True)
TASKS = flags.DEFINE_multi_string(
    "task", None, f"name:kind of an output, once per task; kind is one of {', '.join(KINDS)}.", required=True
)


def load():
    """Return the model and the tasks that the flags describe."""
    try:
        model = files.load_model(MODEL.value)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"--model must be a Keras file. Received: --model={MODEL.value}: {error}") from error
    return model, [make_task(text, model) for text in TASKS.value]


def make_task(text, model):
    """Make the task that `name:kind` describes; its size is the last axis of the model's output."""
    name, _, kind = text.partition(":")
    if kind not in KINDS:
        raise ValueError(f"--task must be name:kind with a kind of {KINDS}. Received: --task={text}")
    if kind == "binary":
        return Task.binary(name)
    outputs = model.output if isinstance(model.output, dict) else {}
    size = outputs[name].shape[-1] if name in outputs else None
    return getattr(Task, kind)(name, size or 1)


def run(export):
    """Run an export; a mistake becomes one line on stderr."""
    try:
        export()
    except (ImportError, OSError, TypeError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        sys.exit(f"{pathlib.Path(sys.argv[0]).stem}: {lines[0]}")
