"""The recipes of a study's rows, to train one of them again."""

import re

RECIPES = "recipes"


def write_recipes(study):
    """Write the recipe of every method, with its best values and the first seed.

    Args:
        study: `Study`; its directory gets `recipes/`, a JSON file per method.
    """
    folder = study.path / RECIPES
    folder.mkdir(exist_ok=True)
    for method in study.methods:
        if (point := study.chosen(method)) is not None:
            method.at(point, study.grid.seeds[0]).write(folder / f"{_file_name(method)}.json")


def _file_name(method):
    """Return a method's name as that of a file; equal weighting goes without saying."""
    name = method.name.replace(", equal", "", 1) if method.is_equal else method.name
    return re.sub(r"[^\w.=-]+", "_", name, flags=re.ASCII)
