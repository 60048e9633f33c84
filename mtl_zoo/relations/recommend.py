"""From a recipe to recipes of the networks that its tasks are best trained in."""

import dataclasses

import keras

from mtl_zoo import arguments, files
from mtl_zoo.evaluation.grid import EQUAL, check_single_process
from mtl_zoo.experiments import Recipe, Run, train
from mtl_zoo.relations.affinity import Affinity
from mtl_zoo.relations.group import MOST_NETWORKS, group
from mtl_zoo.relations.task_matrix import TaskMatrix

MATRIX, PICTURE, GROUPS, RECIPES = "affinity.json", "affinity.png", "groups.json", "recipes"
EVERY = {"every": files.Kind("a positive integer", files.POSITIVE.holds)}


def recommend(recipe, run_dir, budget=3, every=10, overwrite=False, quiet=False):
    """Train all tasks together once, with equal weights, and recommend which ones to train together.

    The directory gets the run, as of `experiments.train`, and besides: `affinity.json` and `affinity.png`,
    the matrix of affinities; `groups.json`, which tasks each network trains and serves; and
    `recipes/network_1.json` and so on, the recipe of each. Called again, it goes on if it was interrupted; of
    a finished run of the same recipe it takes the matrix, so that another budget costs no training.

    Args:
        recipe: `experiments.Recipe`, of which balancer, aggregator, space and `refresh_every` do not count.
        run_dir: Directory to write.
        budget: Largest number of networks. Defaults to 3.
        every: Number of updates between measurements, as for `Affinity`. Defaults to 10.
        overwrite: Whether to replace an earlier run there. Defaults to `False`.
        quiet: Whether to hide progress. Defaults to `False`.

    Returns:
        `Grouping`.

    Raises:
        FileExistsError: If there is something in the directory that may not be replaced.
        ValueError: As `experiments.train`, `Affinity` and `group`; or if the recipe is for several workers.
    """
    recipe = dataclasses.replace(arguments.instance("recipe", recipe, Recipe), **EQUAL)
    budget = arguments.integer("budget", budget, 1, MOST_NETWORKS)
    affinity = Affinity(every)
    check_single_process(recipe)
    if len(recipe.tasks()) < 2:
        raise ValueError(f"There must be two tasks at least. Received: {[x.name for x in recipe.tasks()]}")
    run = Run(run_dir)
    if overwrite or not _is_measured(run, recipe, every):
        _measure(recipe, run.path, affinity, overwrite, quiet)
    matrix = TaskMatrix.read(run.path / MATRIX)
    found = group(matrix, budget)
    _write(run.path, recipe, matrix, found, every)
    return found


def _is_measured(run, recipe, every):
    """Return whether a directory holds the matrix of a finished run of the same recipe."""
    if not (run.is_complete and (run.path / MATRIX).is_file()):
        return False
    groups = run.path / GROUPS  # is missing if it was interrupted after the run
    same = not groups.is_file() or files.read_json(groups, EVERY)["every"] == every
    return same and run.recipe.essence() == recipe.essence()


def _measure(recipe, path, affinity, overwrite, quiet):
    """Train, and write the matrix at the end of it."""

    def write(logs):
        (path / GROUPS).unlink(missing_ok=True)  # of an earlier run
        affinity.matrix.write(path / MATRIX)

    own = [affinity, keras.callbacks.LambdaCallback(on_train_end=write)]
    train(recipe, path, overwrite, quiet=quiet, callbacks=own)


def _write(path, recipe, matrix, found, every):
    """Write the picture, the recipes and what each network is for."""
    with files.replaced(path / PICTURE) as partial:
        matrix.plot(f"Affinity, {recipe.dataset.partition(':')[0]}").savefig(partial, dpi=150)
    (path / RECIPES).mkdir(exist_ok=True)
    for old in (path / RECIPES).glob("network_*.json"):
        old.unlink()
    networks = []
    for number, (trained, served) in enumerate(zip(found.groups, found.serves, strict=True), start=1):
        name = f"{RECIPES}/network_{number}.json"
        dataclasses.replace(recipe, task_names=trained).write(path / name)
        networks.append({"recipe": name, "trains": trained, "serves": served})
    rest = {"every": every, "affinities": found.affinities, "score": found.score}
    files.write_json(path / GROUPS, {"networks": networks, **rest})
