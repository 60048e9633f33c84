"""Names of what there is to choose from, read from the source: much faster than to import it."""

import ast
import pathlib
import sys

ROOMS = {
    "dataset": "datasets",
    "architecture": "architectures",
    "encoder": "encoders",
    "balancer": "balancers",
    "aggregator": "aggregators",
}
NO_CHOICES = {"backbone", "encode", "Column", "CSVFile", "ImageFolder", "augment", "interleave"}
BESIDES = {"aggregator": ["none"], "dataset": ["csv_file", "image_folder"]}


def check_name(kind, text):
    """Refuse an unknown name before anything is imported; where the members are imported, they decide.

    Args:
        kind: What is chosen: `"dataset"`, `"architecture"` ...
        text: What the user wrote, `name` or `name:key=value,key=value`.

    Raises:
        ValueError: If there is no such member.
    """
    if kind in ROOMS and f"mtl_zoo.{ROOMS[kind]}" not in sys.modules:
        check_exported(kind, text)


def check_exported(kind, text):
    """Refuse an unknown name by the source alone; the arguments are those of `check_name`.

    Raises:
        ValueError: If there is no such member.
    """
    find(kind, text.partition(":")[0], dict.fromkeys(exported(kind)))


def find(kind, name, members):
    """Return the member of a name, whose case and underscores do not matter.

    Args:
        kind: What is chosen.
        name: What the user wrote.
        members: Dictionary from names to members.

    Raises:
        ValueError: If there is none.
    """
    for known, member in members.items():
        if _plain(known) == _plain(name):
            return member
    raise ValueError(f"The {kind} must be one of {', '.join(sorted(members))}. Received: {name!r}")


def exported(kind):
    """Return the names of what can be chosen in a room, in lower case: they are those of its modules.

    Args:
        kind: Key of `ROOMS`.

    Example:

    >>> exported("architecture")[:3]
    ['adatt', 'aitm', 'branching']
    """
    path = pathlib.Path(__file__).parents[1] / ROOMS[kind] / "__init__.py"
    lines = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
    found = [alias.name for node in lines for alias in node.names if _is_choice(node.module, alias.name)]
    return sorted([*map(str.lower, found), *BESIDES.get(kind, [])])


def _is_choice(module, name):
    """Return whether a name is a module's, or that of a module."""
    stem = module.rpartition(".")[2]
    return name not in NO_CHOICES and (stem == "datasets" or _plain(stem) == _plain(name))


def _plain(name):
    return name.strip().replace("_", "").lower()
