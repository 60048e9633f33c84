import dataclasses
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.experiments import Recipe
from mtl_zoo.experiments.recipe import ADDED, FIELDS
from mtl_zoo.experiments.schedule import Warmup

SMALL = Recipe(dataset="scaled_regression", task_names=["small"], batch_size=1000)
OTHERS = {
    **{"dataset": "scaled_regression", "architecture": "mmoe", "balancer": "dwa", "aggregator": "pcgrad"},
    **{"tasks": ["left"], "space": "representation", "epochs": 1, "batch_size": 3, "accumulate": 2},
    **{"learning_rate": 0.1, "seed": 1, "strategy": "mirrored", "precision": "mixed_bfloat16"},
    **{"jit_compile": True, "non_finite": "stop", "data_dir": "a", "manual_dir": "b"},
    **{"encoder": "mlp:units=4", "optimizer": "sgd", "schedule": "cosine", "warmup_steps": 1},
    "refresh_every": 8,
}
WRONG = {
    "dataset": (None, 3, ["multi_digits"], "mnist", "multi_digits:a=1"),
    "aggregator": ("pcgrad:c=1", {}, ""),
    "encoder": ("mlp", 3, "tabular_inputs"),
    "optimizer": (None, "adam:learning_rate=1", "optimizer"),
    "tasks": (3, "left", ["weight"], [1], [[]], {}),
    "space": (None, "all"),
    "epochs": (0, True, 1.0, "1", 10**9),
    "learning_rate": (None, 0, -1.0, float("nan"), float("inf"), "x"),
    "seed": (None, -1, 2**32, 0.5),
    "jit_compile": (0, None),
    "schedule": ("linear", None),
    "warmup_steps": (-1, 1.5, None),
    "refresh_every": (0, 1.5, None),
    "data_dir": (3, [], {}),
    "manual_dir": (3, "somewhere"),
}


def config(**changes):
    return Recipe().get_config() | changes


def test_json_keeps_all(tmp_path):
    values = OTHERS | {"dataset": "census_income", "tasks": ["income"], "encoder": "tabular:units=4"}
    recipe = Recipe.from_config(values)
    assert recipe.get_config() == values
    recipe.write(tmp_path / "recipe.json")
    assert Recipe.read(tmp_path / "recipe.json") == recipe
    assert json.loads((tmp_path / "recipe.json").read_text())["versions"]["keras"] == keras.__version__


def test_what_is_missing_has_its_default_and_what_is_unknown_is_refused():
    assert Recipe.from_config({"epochs": 3}) == Recipe(epochs=3)
    with pytest.raises(ValueError, match=r"no other keys than dataset, .* Received: \['epoch'\]"):
        Recipe.from_config({"epoch": 3})


def test_defaults():
    recipe = Recipe()
    chosen = (recipe.dataset, recipe.architecture, recipe.balancer, recipe.aggregator)
    assert chosen == ("multi_digits", "hard_sharing", "equal", "none")
    assert (recipe.encoder, recipe.optimizer, recipe.schedule, recipe.warmup_steps) == (
        *(None, "adam", "constant", 0),
    )


def test_values_become_plain():
    recipe = Recipe(
        epochs=np.int64(3), learning_rate=1, task_names=["left"], data_dir=pathlib.Path("a"), manual_dir=""
    )
    values = (recipe.epochs, recipe.learning_rate, recipe.task_names, recipe.data_dir, recipe.manual_dir)
    assert values == (3, 1.0, ("left",), "a", None)
    assert [type(value) for value in values[:2]] == [int, float]
    assert Recipe(task_names=[]) == Recipe()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 4


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_wrong_values_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match="(?i)" + key.rstrip("s")) as caught:
        Recipe.from_config(config(**{key: value}))
    assert "\n" not in str(caught.value)


def test_the_hash_is_that_of_the_canonical_json():
    """It must never change: of what there was a choice of at first, in the order of the alphabet."""
    text = (
        '{"accumulate":1,"aggregator":"none","architecture":"mmoe","balancer":"equal","batch_size":256,'
        '"dataset":"multi_digits","epochs":10,"jit_compile":false,"learning_rate":0.001,"non_finite":"skip",'
        '"precision":"float32","seed":0,"space":"shared","strategy":"none","tasks":null}'
    )
    done = subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True)
    assert Recipe(architecture="mmoe").hash == done.stdout.split()[0]


def test_the_hash_is_that_of_all_that_determines_the_result():
    base = Recipe(dataset="census_income").get_config() | {"dataset": "census_income"}
    others = OTHERS | {"dataset": "multi_digits", "tasks": ["income"], "encoder": "tabular:units=4"}
    found = {}
    for key in FIELDS:
        found[key] = Recipe.from_config(base | {key: others[key]}).hash
    same = {key for key, value in found.items() if value == Recipe.from_config(base).hash}
    assert same == {"data_dir", "manual_dir"}
    assert len(set(found.values())) == len(FIELDS) - 1


def test_the_hash_is_the_same_in_another_process():
    script = "import mtl_zoo as mz; print(mz.experiments.Recipe(balancer='dwa', warmup_steps=3).hash)"
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == Recipe(balancer="dwa", warmup_steps=3).hash, done.stderr


def test_fields_that_came_later_have_defaults_that_do_what_was_done_before():
    assert set(ADDED) == {"encoder", "optimizer", "schedule", "warmup_steps", "refresh_every"}
    trainer = SMALL.trainer()
    assert type(trainer.optimizer) is keras.optimizers.Adam
    assert isinstance(trainer.optimizer._learning_rate, keras.Variable)


def test_parts():
    assert [task.name for task in SMALL.tasks()] == ["small"]
    x, labels = next(iter(SMALL.load("validation")))
    assert x.shape[0] == labels["small"].shape[0] == 1000
    model = SMALL.model()
    assert set(model.output) == {"small"}
    for one, other in zip(model.get_weights(), SMALL.model().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_trainer_is_as_chosen():
    recipe = dataclasses.replace(
        SMALL,
        **{"task_names": None, "balancer": "static:weights=[1, 2]", "aggregator": "cagrad:c=0.25"},
        **{"space": "representation", "accumulate": 2, "non_finite": "stop", "jit_compile": True},
        **{
            "refresh_every": 4,
            "encoder": "mlp:units=[6, 5]",
            "optimizer": "sgd:momentum=0.5",
            "precision": "mixed_float16",
        },
    )
    trainer = recipe.trainer()
    np.testing.assert_array_equal(trainer.balancer.task_weights, [1, 2])
    assert trainer.aggregator.c == 0.25
    assert (trainer.space, trainer.accumulate, trainer.non_finite) == ("representation", 2, "stop")
    assert (trainer.jit_compile, trainer.refresh.every) == (True, 4)
    assert [x.units for x in trainer.model.layers if isinstance(x, keras.layers.Dense)][:2] == [6, 5]
    assert trainer.model.layers[1].compute_dtype == "float16"
    assert isinstance(trainer.optimizer, keras.optimizers.LossScaleOptimizer)
    assert trainer.optimizer.inner_optimizer.momentum == 0.5
    assert keras.config.dtype_policy().name == "float32"


def test_a_schedule_counts_the_updates_of_all_epochs():
    """Of 10,000 examples, 10 batches of 1,000: 4 updates of up to 3 batches, in each of 5 epochs."""
    recipe = dataclasses.replace(SMALL, epochs=5, accumulate=3, schedule="cosine", warmup_steps=4)
    schedule = recipe.trainer().optimizer._learning_rate
    assert isinstance(schedule, Warmup)
    assert (schedule.warmup_steps, schedule.rate.decay_steps) == (4, 5 * 4 - 4)
    rates = [float(schedule(step)) for step in (0, 2, 4, 12, 20)]
    np.testing.assert_allclose(rates, [0, 5e-4, 1e-3, 5e-4, 0], atol=1e-9)
    with pytest.raises(ValueError, match="must be below the number of all steps, 20"):
        dataclasses.replace(recipe, warmup_steps=20).trainer()


def test_the_optimizer_follows_the_schedule():
    """Of SGD, the steps per unit of gradient are the rates: a warm-up of two, then half a cosine of eight."""
    recipe = dataclasses.replace(
        SMALL,
        **{"epochs": 1, "optimizer": "sgd", "schedule": "cosine", "warmup_steps": 2, "learning_rate": 1e-4},
    )
    trainer = recipe.trainer()
    rates = []
    trainer.fit(
        recipe.load("train"),
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_batch_begin=lambda batch, logs: rates.append(float(trainer.optimizer.learning_rate))
            )
        ],
    )
    expected = [0, 0.5, *(0.5 + 0.5 * np.cos(np.pi * np.arange(8) / 8))]
    np.testing.assert_allclose(rates, 1e-4 * np.array(expected), rtol=1e-5, atol=1e-12)


def test_a_dataset_that_needs_no_files_takes_no_place_for_them():
    with pytest.raises(ValueError, match="'multi_digits' takes no --manual_dir"):
        Recipe(manual_dir="files")


def test_a_dataset_with_arguments_for_its_own_encoder_takes_no_other():
    with pytest.raises(ValueError, match=r"must have no arguments for its own .*'treebank:width=8,depth=1'"):
        Recipe(dataset="treebank:width=8,depth=1", encoder="transformer:vocabulary_size=9")
    assert Recipe(dataset="movielens:source=package", encoder="tabular:units=4").encoder  # it is for the data


def test_an_unknown_task_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"Tasks must be among left, right\. Received: left, top"):
        mz.experiments.Recipe(task_names=["left", "top"])
