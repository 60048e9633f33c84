import shutil

import pytest

from mtl_zoo import files
from mtl_zoo.experiments import Recipe, run
from mtl_zoo.experiments.choices import FAMILIES

ROWS = "epoch,small_weight,large_weight\n1,1.0,1.0\n2,4.0,0.25\n"


@pytest.fixture
def finished(tmp_path):
    """A run directory as training leaves it, but for a model that nobody reads."""
    path = tmp_path / "one"
    path.mkdir()
    Recipe(dataset="scaled_regression", balancer="uncertainty").write(path / run.CONFIG)
    (path / run.HISTORY).write_text(ROWS)
    (path / run.MODEL).touch()
    files.write_json(path / run.METRICS, {})
    return path


def parse(text):
    return FAMILIES["balancer"].parse(text)


def test_a_run_is_settled_to_its_weights(finished):
    choice = parse(f"static:from={finished},beta=0.5")
    assert choice.text == "static:weights={'small': 3.0, 'large': 0.5}"
    assert choice.make().get_config()["weights"] == {"small": 3.0, "large": 0.5}
    assert parse(choice.text).arguments == choice.arguments
    assert parse(f"Static:from='{finished}'").arguments["weights"]["large"] == pytest.approx(1.15 / 1.9)


def test_a_recipe_is_what_it_was_when_the_run_is_gone(finished):
    recipe = Recipe(dataset="scaled_regression", balancer=f"static:from={finished},beta=0.5")
    shutil.rmtree(finished)
    assert recipe.balancer == "static:weights={'small': 3.0, 'large': 0.5}"
    assert Recipe.from_config(recipe.get_config()).hash == recipe.hash
    assert recipe.trainer().balancer.task_weights.numpy().tolist() == [3.0, 0.5]


def test_weights_of_other_tasks_are_refused(finished):
    recipe = Recipe(dataset="multi_digits", balancer=f"static:from={finished}")
    with pytest.raises(
        ValueError, match=r"`weights` must have a number for each of the tasks \['left', 'right'\]"
    ):
        recipe.trainer()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "epoch,small_weight,large_weight\n1,1.0,1.0\n",
            r"static:from=.*must be of a method that weighs the tasks",
        ),
        ("epoch,loss\n1,1.0\n", r"static:from=.*must have a weight of task 'small'"),
        ("epoch,loss\n1,x\n", r"static:from=.*must be a table of numbers"),
    ],
)
def test_runs_that_imply_no_weights_are_refused(finished, rows, message):
    (finished / run.HISTORY).write_text(rows)
    with pytest.raises(ValueError, match=message):
        parse(f"static:from={finished}")


def test_arguments_are_checked(finished):
    with pytest.raises(ValueError, match=r"must be given a finished run. Received: 'runs/none'"):
        parse("static:from=runs/none")
    with pytest.raises(ValueError, match=r"takes beta and no more"):
        parse(f"static:from={finished},weights=[1, 2]")
    with pytest.raises(ValueError, match=r"`beta` must be at least 0 and below 1"):
        parse(f"static:from={finished},beta=1")
    with pytest.raises(ValueError, match=r"must be a path"):
        parse("static:from=3")
    with pytest.raises(ValueError, match=r"This balancer takes no arguments"):
        parse(f"equal:from={finished}")
