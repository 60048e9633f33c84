import dataclasses

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.experiments import Recipe, Run, run, train
from mtl_zoo.training.trainer import Trainer

RECIPE = Recipe(
    dataset="scaled_regression",
    **{"encoder": "mlp:units=4", "epochs": 3, "batch_size": 1000, "learning_rate": 0.01},
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "a"


@pytest.fixture(scope="module")
def trained(path):
    return train(RECIPE, path, quiet=True)


def test_a_run_is_one_object(trained, path):
    assert trained.is_complete
    assert sorted(x.name for x in path.iterdir()) == sorted(run.PARTS)
    assert Run(path).recipe == trained.recipe == RECIPE
    assert trained.history["epoch"] == [1, 2, 3]
    assert trained.metrics["seconds"] > trained.metrics["seconds_per_epoch"] > 0
    assert trained.metrics["best_epoch"] == 1 + int(np.argmin(trained.history["val_loss"]))
    assert trained.metrics["validation"]["loss"] == pytest.approx(min(trained.history["val_loss"]))
    trainer = Trainer(trained.model, trained.tasks)
    trainer.compile()
    found = trainer.evaluate(RECIPE.load("test"), return_dict=True, verbose=0)
    assert found == pytest.approx(trained.metrics["test"], rel=1e-6)


def test_it_trains_what_its_parts_train(trained):
    """The same epochs as of the library's parts, put together by hand."""
    data = mz.datasets.scaled_regression
    keras.utils.set_random_seed(0)
    train_data = data.load("train", 1000, seed=0)
    model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, data.TASKS, mz.balancers.Equal())
    trainer.compile(keras.optimizers.Adam(0.01))
    next(iter(train_data))  # reshuffles, as the look at the labels does
    history = trainer.fit(train_data, epochs=3, verbose=0).history
    np.testing.assert_allclose(trained.history["loss"], history["loss"], rtol=1e-5)


def test_meta_data_are_the_training_split_in_another_order(tmp_path):
    recipe = dataclasses.replace(RECIPE, balancer="auto_lambda:learning_rate=0.05", epochs=1)
    train_data, meta = (
        next(iter(x))
        for x in (recipe.load("train").unbatch().batch(10**6), recipe.load_meta().unbatch().batch(10**6))
    )
    rows = [np.asarray(x) for x, _ in (train_data, meta)]
    assert (rows[0] != rows[1]).any()
    np.testing.assert_array_equal(*(x[np.lexsort(x.T)] for x in rows))
    assert RECIPE.load_meta() is None
    weights = train(recipe, tmp_path / "a", quiet=True).history
    assert any(weights[f"{task.name}_weight"] != [0.1] for task in recipe.tasks())


def test_a_directory_in_use_is_refused(trained, path):
    before = (path / run.METRICS).read_bytes()
    with pytest.raises(FileExistsError, match="must not hold a run"):
        train(RECIPE, path)
    assert (path / run.METRICS).read_bytes() == before


def test_a_backup_of_an_earlier_version_is_gone_on_with(tmp_path):
    """It knows nothing of the fields that came later."""
    saved = Recipe(seed=3).get_config()
    old = {key: value for key, value in saved.items() if key not in run.ADDED}
    for recipe, changes in ((Recipe(seed=3), 0), (Recipe(seed=3, optimizer="sgd"), 1), (Recipe(seed=4), 1)):
        resume = mz.callbacks.Resume(tmp_path, recipe=recipe.essence() | recipe.places())
        assert len(resume._changes({"recipe": old})) == changes


def test_only_a_recipe_is_trained(tmp_path):
    with pytest.raises(TypeError, match="`recipe` must be an instance of `Recipe`"):
        train({"dataset": "multi_digits"}, tmp_path)
