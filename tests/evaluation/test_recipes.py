import pytest

from mtl_zoo.evaluation.recipes import RECIPES, write_recipes
from mtl_zoo.experiments import Recipe
from tests.evaluation.harness import fail, made_up, study_of
from tests.evaluation.test_study import DELTAS


def test_the_recipe_of_a_row_is_that_of_its_first_training(tmp_path):
    study = made_up(tmp_path, DELTAS)
    write_recipes(study)
    found = {path.stem: Recipe.read(path) for path in (tmp_path / RECIPES).iterdir()}
    assert set(found) == {"single_task", "hard_sharing", "hard_sharing_uncertainty"}
    assert {recipe.balancer for recipe in found.values()} == {"equal", "uncertainty"}
    assert {(recipe.learning_rate, recipe.seed) for recipe in found.values()} == {(0.01, 0)}


@pytest.mark.parametrize(
    ("balancer", "expected"),
    [
        ("static:weights=1,2", "hard_sharing_static_weights=1_2"),
        ("dwa:temperature=0.5", "hard_sharing_dwa_temperature=0.5"),
    ],
)
def test_arguments_are_part_of_the_name(balancer, expected, tmp_path):
    write_recipes(study_of(tmp_path, balancers=(balancer,), rates=(0.1,)))
    assert (tmp_path / RECIPES / f"{expected}.json").is_file()


def test_long_names_are_cut_and_differ(tmp_path):
    balancers = [f"static:weights={[1.0] * 99 + [last]}" for last in (1.0, 2.0)]
    write_recipes(study_of(tmp_path, balancers=balancers, rates=(0.1,)))
    found = [path.name for path in (tmp_path / RECIPES).iterdir() if "static" in path.name]
    assert len(found) == 2
    assert max(map(len, found)) < 120


def test_what_failed_has_no_recipe(tmp_path):
    study = study_of(tmp_path)
    for job in study.tuning():
        fail(job.cell)
    write_recipes(study)
    assert not list((tmp_path / RECIPES).iterdir())
