"""What an artefact is, as JSON beside it."""

import hashlib
import json
import os
import pathlib

from mtl_zoo import files, spaces
from mtl_zoo.exporting.classes import num_classes, num_predicted
from mtl_zoo.kinds import kind_of
from mtl_zoo.versions import versions

CARD = "model_card.json"
OWN_SUM = "sha256_of_card"
KINDS = {
    "sha256": files.Kind("an object of strings", lambda x: _is_object(x, str)),
    "run_dir": files.TEXT._replace(optional=True),
    "signatures": files.Kind("an object of signatures", lambda x: _are_signatures(x), optional=True),
}
REMEDY = "Export again."


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
    """Write the card of an artefact, with the SHA-256 of every file of it, and one of all that it says.

    Args:
        artefact: Directory, in which the card is `model_card.json`; or a file, beside which it lies.
        card: Dictionary from `model_card`.
    """
    card = card | {"sha256": checksums(artefact)}
    card_path(artefact).write_text(_text(card | {OWN_SUM: _sum_of(card)}))


def read_card(artefact):
    """Return the card of an artefact, or an empty dictionary if it has none.

    Raises:
        FileNotFoundError: If there is no artefact.
        ValueError: If the card cannot be read, or is not the one that was written.
    """
    if not pathlib.Path(artefact).exists():
        raise FileNotFoundError(f"There must be an exported model at '{artefact}'.")
    path = card_path(artefact)
    if not os.path.lexists(path):
        return {}
    card = files.read_json(path, KINDS, REMEDY)
    own = card.pop(OWN_SUM, None)  # cards of earlier versions have none
    if own is not None and path.read_text("utf-8") != _text(card | {OWN_SUM: _sum_of(card)}):
        raise ValueError(f"'{path}' must be as it was written, with the SHA-256 in it. {REMEDY}")
    return card


def check_files(artefact):
    """Raise an error unless the files of an artefact are those that its card lists, if it has one.

    Raises:
        FileNotFoundError: If there is no artefact.
        ValueError: If files were changed, added or lost.
    """
    card, found = read_card(artefact), checksums(artefact)
    wanted = card.get("sha256", found)
    changed = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if changed:
        raise ValueError(
            f"The files of '{artefact}' must be those that were exported. {REMEDY} "
            f"Received changes of {', '.join(changed)}"
        )


def card_path(artefact):
    """Return where the card of an artefact is: `DIR/model_card.json` or `FILE.model_card.json`."""
    artefact = pathlib.Path(artefact)
    return artefact / CARD if artefact.is_dir() else artefact.with_name(f"{artefact.name}.{CARD}")


def checksums(artefact):
    """Return the SHA-256 of a file, or of every file in a directory but the card and `assets.extra`.

    Raises:
        FileNotFoundError: If there is something that is neither a file nor a directory.
    """
    artefact = pathlib.Path(artefact)
    if not artefact.is_dir():
        return {artefact.name: files.sha256(artefact)}
    names = {path.relative_to(artefact).as_posix(): path for path in artefact.rglob("*") if not path.is_dir()}
    return {
        name: files.sha256(path)
        for name, path in sorted(names.items())
        if name != CARD and not name.startswith("assets.extra/")
    }


def _task(task, model, names):
    shape = [None, *model.output[task.name].shape[1:-1], num_predicted(task)]
    described = {"kind": kind_of(task), "output": {"shape": shape, "dtype": "float32"}}
    if task.where is not None:
        described["where"] = spaces.describe(task)
    if num_classes(task):
        described["classes"] = num_classes(task)
    return described | ({"class_names": list(names)} if names else {})


def _tensor(x):
    return {"shape": [None, *x.shape[1:]], "dtype": x.dtype}


def _text(card):
    return json.dumps(card, indent=2) + "\n"


def _sum_of(card):
    return hashlib.sha256(_text(card).encode()).hexdigest()


def _is_object(x, kind):
    return isinstance(x, dict) and all(isinstance(value, kind) for value in x.values())


def _are_signatures(x):
    """Return whether `x` tells inputs and outputs of every signature, each with type and shape."""
    if not _is_object(x, dict):
        return False
    sides = [signature.get(side) for signature in x.values() for side in ("inputs", "outputs")]
    return all(_is_object(side, dict) and all(map(_is_tensor, side.values())) for side in sides)


def _is_tensor(x):
    return {"dtype", "shape"} <= set(x) and isinstance(x["dtype"], str)
