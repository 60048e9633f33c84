import dataclasses

import pytest
from absl import flags

from mtl_zoo.command_line import recipe_flags
from mtl_zoo.experiments import Recipe
from mtl_zoo.experiments.recipe import FIELDS


def parsed(*arguments):
    options = flags.FlagValues()
    recipe_flags.define(options)
    recipe_flags.define_file(options)
    options(["mtl-zoo train", *arguments])
    return options


def test_flags_without_values_are_the_default_recipe():
    assert recipe_flags.recipe_of(parsed()) == Recipe()
    assert set(FIELDS) <= set(parsed())


def test_flags_are_those_of_every_kind_of_field():
    found = recipe_flags.recipe_of(
        parsed(
            *("--encoder=mlp:units=[4, 2]", "--optimizer=sgd:momentum=0.9", "--tasks=left", "--jit_compile"),
            *("--schedule=cosine", "--warmup_steps=5", "--epochs=2", "--learning_rate=0.5", "--data_dir=a"),
        )
    )
    assert found == Recipe(
        **{"encoder": "mlp:units=[4, 2]", "optimizer": "sgd:momentum=0.9", "task_names": ("left",)},
        **{"jit_compile": True, "schedule": "cosine", "warmup_steps": 5, "epochs": 2, "learning_rate": 0.5},
        data_dir="a",
    )


def test_every_flag_has_the_help_of_its_field():
    options = parsed()
    for key, field in FIELDS.items():
        assert field.metadata["text"] in options[key].help


@pytest.mark.parametrize("flag", ["encoder=mlp", "schedule=linear", "warmup_steps=-1", "epochs=1000000000"])
def test_wrong_values_are_errors_of_flags(flag):
    with pytest.raises(flags.Error, match=f"flag --{flag}"):
        parsed(f"--{flag}")


def test_places_are_replaced_where_flags_tell_any():
    options = flags.FlagValues()
    recipe_flags.define_locations(options)
    options(["mtl-zoo evaluate", "--data_dir=b"])
    recipe = Recipe(dataset="census_income", data_dir="a", manual_dir="c")
    assert recipe_flags.located(recipe, options).places() == {"data_dir": "b", "manual_dir": "c"}


def test_flags_replace_values_of_a_recipe(tmp_path):
    path = tmp_path / "recipe.json"
    recipe = Recipe(dataset="breast_cancer", balancer="famo", epochs=3, task_names=("worst",))
    recipe.write(path)
    found = recipe_flags.recipe_of(parsed(f"--recipe={path}", "--epochs=10", "--data_dir=a"))
    assert found == dataclasses.replace(recipe, epochs=10, data_dir="a")


def test_a_recipe_that_is_none_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        recipe_flags.recipe_of(parsed(f"--recipe={tmp_path / 'nothing.json'}"))
    (tmp_path / "other.json").write_text('{"datasets": 1}')
    with pytest.raises(ValueError, match="datasets"):
        recipe_flags.recipe_of(parsed(f"--recipe={tmp_path / 'other.json'}"))
