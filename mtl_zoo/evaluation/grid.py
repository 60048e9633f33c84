"""From recipes to the methods of a study, and to the recipes of its trainings."""

import dataclasses
import itertools
import re

from mtl_zoo import arguments
from mtl_zoo.experiments.recipe import FIELDS, LOCATIONS, Recipe

AXES = ("architecture", "balancer", "aggregator", "space", "refresh_every")
COMMON = ("dataset", "tasks", "strategy")  # without which numbers do not compare
NOT_TUNED = (*AXES, *COMMON, *LOCATIONS, "seed")
TUNABLE = tuple(key for key in FIELDS if key not in NOT_TUNED)
EQUAL = {"balancer": "equal", "aggregator": "none", "space": "shared", "refresh_every": 1}
SINGLE = EQUAL | {"architecture": "single_task"}


@dataclasses.dataclass(frozen=True)
class Grid:
    """The values that every method is tuned over, and the seeds.

    Args:
        tuned: Dictionary from fields of a recipe to sequences of values.
        seeds: Sequence of seeds.
        tuning_seeds: How many of them, the first ones, values are chosen with.

    Raises:
        ValueError: If a field is not one of training alone, a sequence is empty or has a value twice, or
            there are fewer seeds than are to be tuned with.

    Example:

    >>> Grid({"learning_rate": (0.1, 0.01)}, (0, 1, 2)).points
    ({'learning_rate': 0.1}, {'learning_rate': 0.01})
    """

    tuned: dict
    seeds: tuple
    tuning_seeds: int = 1

    def __post_init__(self):
        for name, values in arguments.mapping("tuned", self.tuned).items():
            _check_once(arguments.option("tuned", name, TUNABLE), values)
        _check_once("seeds", arguments.integers("seeds", self.seeds, 0, arguments.SEED))
        arguments.integer("tuning_seeds", self.tuning_seeds, 1, len(self.seeds))

    @property
    def points(self):
        """Tuple of dictionaries from tuned fields to values: all combinations."""
        return tuple(
            dict(zip(self.tuned, values, strict=True)) for values in itertools.product(*self.tuned.values())
        )


@dataclasses.dataclass(frozen=True)
class Method:
    """What is compared: a recipe up to tuned values and the seed.

    Args:
        name: Its name in the tables.
        recipe: `Recipe` with the first values of the grid and the first seed.
    """

    name: str
    recipe: Recipe

    @property
    def is_single(self):
        """Whether it is the baseline of single-task models."""
        return self.recipe == dataclasses.replace(self.recipe, **SINGLE)

    @property
    def is_equal(self):
        """Whether it weighs all tasks equally, in one backward pass."""
        return self.recipe == dataclasses.replace(self.recipe, **EQUAL)

    def at(self, point, seed):
        """Return the `Recipe` with tuned values and a seed."""
        return dataclasses.replace(self.recipe, **point, seed=seed)


def methods_of(recipes, grid, baselines=True):
    """Return the methods that recipes stand for, each once, the baselines first.

    Args:
        recipes: Sequence of `Recipe`, whose tuned fields and seeds do not matter.
        grid: `Grid`.
        baselines: Whether single-task models and equal weighting of each architecture are added where they
            are not there. Defaults to `True`.

    Returns:
        Tuple of `Method`.

    Raises:
        ValueError: If there are no recipes, they are not of the same data and tasks, or they are for several
            workers.
    """
    if not isinstance(recipes, (list, tuple)) or not recipes:
        raise ValueError(f"`recipes` must be a list of recipes. Received: recipes={recipes!r}")
    first = grid.points[0] | {"seed": grid.seeds[0]}
    bare = [dataclasses.replace(arguments.instance("recipes", x, Recipe), **first) for x in recipes]
    _check_common(bare)
    if baselines:
        singles = [dataclasses.replace(recipe, **SINGLE) for recipe in bare]
        bare = [*singles, *(x for recipe in bare for x in (dataclasses.replace(recipe, **EQUAL), recipe))]
    bare = list(dict.fromkeys(bare))
    return tuple(map(Method, _names(bare), bare))


def counterpart(methods, method, fields):
    """Return the method that differs in some fields alone, `SINGLE` or `EQUAL`; `None` if there is none."""
    wanted = dataclasses.replace(method.recipe, **fields)
    return next((other for other in methods if other.recipe == wanted), None)


def product(recipe, architectures, weightings, spaces=("shared",), refreshes=(1,)):
    """Return recipes of all combinations; without an aggregator space and refreshing make no difference.

    Args:
        recipe: `Recipe` of all else.
        architectures: Sequence of choices.
        weightings: Sequence of pairs of a balancer and an aggregator.
        spaces: Sequence of what aggregators see. Defaults to `"shared"` alone.
        refreshes: Sequence of values of `refresh_every`. Defaults to 1 alone.

    Returns:
        List of `Recipe`, each once.
    """
    found = []
    for architecture, pair, *rest in itertools.product(architectures, weightings, spaces, refreshes):
        space, refresh = (EQUAL["space"], EQUAL["refresh_every"]) if pair[1] == "none" else rest
        values = (architecture, *pair, space, refresh)
        found.append(dataclasses.replace(recipe, **dict(zip(AXES, values, strict=True))))
    return list(dict.fromkeys(found))


def check_single_process(recipe):
    """Refuse a recipe for several workers, which start by themselves."""
    if recipe.strategy == "multi_worker":
        raise ValueError("`strategy` must be one of a single process. Received: strategy='multi_worker'")


def _check_once(name, values):
    """Refuse values of which one is there twice, or none."""
    is_list = isinstance(values, (list, tuple)) and len(values) > 0
    if not is_list or len({*map(repr, values)}) < len(values):
        raise ValueError(f"`{name}` must hold values, each once. Received: {name}={values!r}")


def _check_common(recipes):
    for recipe in recipes:
        check_single_process(recipe)
    for key in COMMON:
        found = list(dict.fromkeys(str(recipe.get_config()[key]) for recipe in recipes))
        if len(found) > 1:
            raise ValueError(f"All recipes must have the same {key}. Received: {' and '.join(found)}")


def _names(recipes):
    """Return what tells methods apart: architecture, weighting, and what else differs and is no default.

    Numbers, such as the weights of `static:from=RUN_DIR`, have three digits if that tells them apart.
    """
    configs = [recipe.get_config() for recipe in recipes]
    rest = [key for key in configs[0] if key not in AXES[:3] and len({str(x[key]) for x in configs}) > 1]
    names = [_name(config, [key for key in rest if config[key] != FIELDS[key].default]) for config in configs]
    short = [re.sub(r"\d+\.\d{4,}", lambda number: f"{float(number[0]):.3g}", name) for name in names]
    return short if len({*short}) == len({*names}) else names


def _name(config, others):
    parts = [config[key] for key in AXES[1:3] if config[key] != EQUAL[key]]
    weighting = "+".join(parts) or EQUAL["balancer"]
    return ", ".join([config["architecture"], weighting, *(f"{key}={config[key]}" for key in others)])
