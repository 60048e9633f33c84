"""What an artefact is, as JSON beside it."""

import hashlib
import json
import pathlib

from mtl_zoo.exporting.classes import num_classes
from mtl_zoo.run import versions

CARD = "model_card.json"


def model_card(model, tasks, class_names=None, information=None):
    """Describe a model for those who serve it.

    Args:
        model: Functional `keras.Model` with a dict of outputs, keyed by task name.
        tasks: Sequence of `mtl_zoo.Task`.
        class_names: Dictionary from task names to lists of class names. Defaults to no names.
        information: Dictionary to add, for instance `dataset` and `metrics`. Defaults to nothing.

    Returns:
        Dictionary of what JSON can hold: `model`, `parameters`, `inputs`, `tasks`, `versions` and
        `information`.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,), name="x"), tasks, mz.encoders.mlp(16))
    >>> card = model_card(model, tasks)
    >>> card["inputs"], card["tasks"]["click"]["kind"]
    ({'x': {'shape': [None, 8], 'dtype': 'float32'}}, 'binary')
    """
    names = class_names or {}
    return {
        "model": model.name,
        "parameters": model.count_params(),
        "inputs": {x.name: _tensor(x) for x in model.inputs},
        "tasks": {task.name: _task(task, model, names.get(task.name)) for task in tasks},
        "versions": versions(),
        **(information or {}),
    }


def write_card(artefact, card):
    """Write the card of an artefact, with the SHA-256 of every file of it.

    Args:
        artefact: Directory, in which the card is `model_card.json`; or a file, beside which it lies.
        card: Dictionary from `model_card`.
    """
    text = json.dumps(card | {"sha256": checksums(artefact)}, indent=2)
    card_path(artefact).write_text(text + "\n")


def read_card(artefact):
    """Return the card of an artefact, or an empty dictionary if it has none.

    Raises:
        FileNotFoundError: If there is no artefact.
    """
    if not pathlib.Path(artefact).exists():
        raise FileNotFoundError(f"There must be an exported model at '{artefact}'.")
    path = card_path(artefact)
    return json.loads(path.read_text()) if path.is_file() else {}


def card_path(artefact):
    """Return where the card of an artefact is: `DIR/model_card.json` or `FILE.model_card.json`."""
    artefact = pathlib.Path(artefact)
    return artefact / CARD if artefact.is_dir() else artefact.with_name(f"{artefact.name}.{CARD}")


def checksums(artefact):
    """Return the SHA-256 of a file, or of every file in a directory but the card and `assets.extra`."""
    artefact = pathlib.Path(artefact)
    if artefact.is_file():
        return {artefact.name: _sha256(artefact)}
    names = {path.relative_to(artefact).as_posix(): path for path in artefact.rglob("*") if path.is_file()}
    return {
        name: _sha256(path)
        for name, path in sorted(names.items())
        if name != CARD and not name.startswith("assets.extra/")
    }


def kind_of(task):
    """Return the kind of a task, the name of the constructor of `mtl_zoo.Task` that makes such ones."""
    rank = len(task.label_shape)
    if task.labels_are_indices:
        return {0: "classification", 1: "tagging", 2: "segmentation"}.get(rank, "classification")
    if task.max_label is not None:
        return "binary" if task.output_shape == (1,) else "multilabel"
    return "regression" if rank == 1 else "dense_regression"


def _task(task, model, names):
    described = {"kind": kind_of(task), "output": _tensor(model.output[task.name]) | {"dtype": "float32"}}
    if num_classes(task):
        described["classes"] = num_classes(task)
    return described | ({"class_names": list(names)} if names else {})


def _tensor(x):
    return {"shape": [None, *x.shape[1:]], "dtype": x.dtype}


def _sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
