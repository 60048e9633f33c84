"""The recipes of published results can be trained."""

import pathlib

import pytest

from mtl_zoo.experiments import Recipe

ROOT = pathlib.Path(__file__).parents[1]
STUDIES = sorted(path for path in (ROOT / "recipes").iterdir() if path.is_dir())
RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_recipes_are_those_of_a_published_table(study):
    recipes = [Recipe.read(path) for path in sorted(study.glob("*.json"))]
    assert {recipe.dataset.partition(":")[0] for recipe in recipes} == {study.name}
    assert all(place is None for recipe in recipes for place in recipe.places().values())
    assert len({recipe.hash for recipe in recipes}) == len(recipes)
    section = RESULTS.partition(f"### `{study.name}`")[2].partition("\n### ")[0].partition("\n## ")[0]
    assert f"recipes/{study.name}" in section
    rows = [line for line in section.splitlines() if line.startswith("| ") and " of 3 |" in line]
    assert len(rows) == len(recipes)
    for recipe in recipes:
        assert any(line.startswith(f"| {recipe.architecture}, ") for line in rows)
