"""The recipes of a study's rows, to train one of them again."""

import re

RECIPES = "recipes"
LONGEST = 100  # characters of a file's name, which weights of many tasks exceed


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
    name = re.sub(r"[^\w.=-]+", "_", name, flags=re.ASCII)
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}_{method.recipe.hash[:8]}"
