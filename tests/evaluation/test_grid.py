import pytest

from mtl_zoo.evaluation.grid import EQUAL, SINGLE, Grid, counterpart, methods_of, product
from mtl_zoo.experiments import Recipe

GRID = Grid({"learning_rate": (0.1, 0.01)}, (3, 4))


def names(recipes, **options):
    return [method.name for method in methods_of(recipes, GRID, **options)]


def test_points_are_all_combinations():
    grid = Grid({"learning_rate": (0.1, 0.01), "batch_size": (8, 16)}, (0,))
    assert [tuple(point.values()) for point in grid.points] == [(0.1, 8), (0.1, 16), (0.01, 8), (0.01, 16)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"learning_rate": ()}, (0,)), "`learning_rate` must hold values, each once"),
        (({"learning_rate": (0.1, 0.1)}, (0,)), "each once"),
        (({"learning_rate": "0.1"}, (0,)), "each once"),
        (({"balancer": ("equal",)}, (0,)), "`tuned` must be one of"),
        (({"seed": (1, 2)}, (0,)), "`tuned` must be one of"),
        (({"learning_rate": (0.1,)}, ()), "`seeds` must hold values"),
        (({"learning_rate": (0.1,)}, (1, 1)), "each once"),
        (({"learning_rate": (0.1,)}, (-1,)), "at least 0"),
        (({"learning_rate": (0.1,)}, (0, 1), 3), "at most 2"),
    ],
)
def test_a_wrong_grid_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Grid(*arguments)


def test_baselines_are_added_once_and_come_first():
    recipes = [Recipe(balancer="famo"), Recipe(aggregator="pcgrad"), Recipe("multi_digits", "mmoe", "dwa")]
    assert names(recipes) == [
        *("single_task, equal", "hard_sharing, equal", "hard_sharing, famo", "hard_sharing, pcgrad"),
        *("mmoe, equal", "mmoe, dwa"),
    ]
    assert names(recipes, baselines=False) == ["hard_sharing, famo", "hard_sharing, pcgrad", "mmoe, dwa"]
    given = [Recipe(), Recipe(architecture="single_task"), *recipes]
    assert sorted(names(given)) == sorted(names(recipes))


def test_tuned_fields_and_seeds_do_not_make_methods():
    recipes = [Recipe(seed=1), Recipe(learning_rate=0.5), Recipe(seed=2)]
    (single, method) = methods_of(recipes, GRID)
    assert single.is_single
    assert single.is_equal
    assert method.is_equal
    assert not method.is_single
    assert (method.recipe.learning_rate, method.recipe.seed) == (0.1, 3)
    recipe = method.at({"learning_rate": 0.01}, 4)
    assert (recipe.learning_rate, recipe.seed, recipe.architecture) == (0.01, 4, "hard_sharing")


def test_numbers_in_names_are_short_where_that_tells_methods_apart():
    long, near = (
        f"static:weights={{'left': {x}, 'right': 1e-05}}" for x in ("0.7409800031528262", "0.74099")
    )
    single, equal, name = names([Recipe(balancer=long)])
    assert name == "hard_sharing, static:weights={'left': 0.741, 'right': 1e-05}"
    assert names([Recipe(balancer=long), Recipe(balancer=near)]) == [
        *(single, equal, f"hard_sharing, {long}", f"hard_sharing, {near}")
    ]


def test_what_else_differs_is_in_the_name():
    recipes = [
        Recipe(aggregator="upgrad", space=x, refresh_every=y) for x, y in (("shared", 1), ("shared", 8))
    ]
    recipes.append(Recipe(balancer="dwa", aggregator="upgrad", space="representation"))
    assert names(recipes, baselines=False) == [
        "hard_sharing, upgrad",
        "hard_sharing, upgrad, refresh_every=8",
        "hard_sharing, dwa+upgrad, space=representation",
    ]
    assert names([Recipe(epochs=3), Recipe(epochs=10)], baselines=False)[0] == "hard_sharing, equal, epochs=3"


def test_every_method_finds_its_baselines():
    methods = methods_of([Recipe(balancer="famo"), Recipe(balancer="famo", epochs=3)], GRID)
    assert len(methods) == 6
    for method in methods:
        for fields in (SINGLE, EQUAL):
            assert counterpart(methods, method, fields).recipe.epochs == method.recipe.epochs
    assert counterpart(methods[4:], methods[5], SINGLE) is None


@pytest.mark.parametrize("other", [{"dataset": "breast_cancer"}, {"task_names": ["left"]}])
def test_recipes_of_other_data_are_refused(other):
    with pytest.raises(ValueError, match="must have the same"):
        methods_of([Recipe(), Recipe(**other)], GRID)


def test_recipes_for_several_workers_are_refused():
    with pytest.raises(ValueError, match="Received: strategy='multi_worker'"):
        methods_of([Recipe(strategy="multi_worker")], GRID)


def test_no_recipes_are_refused():
    with pytest.raises(ValueError, match="must be a list of recipes"):
        methods_of([], GRID)


def test_a_product_has_space_and_refreshing_for_aggregators_alone():
    pairs = [("equal", "none"), ("dwa", "none"), ("equal", "pcgrad")]
    found = product(Recipe(), ["hard_sharing", "mmoe"], pairs, ["shared", "representation"], [1, 8])
    rows = [(x.architecture, x.balancer, x.aggregator, x.space, x.refresh_every) for x in found]
    assert len(rows) == 2 * (2 + 4)
    assert rows[:3] == [
        ("hard_sharing", "equal", "none", "shared", 1),
        ("hard_sharing", "dwa", "none", "shared", 1),
        ("hard_sharing", "equal", "pcgrad", "shared", 1),
    ]
    assert all(row[3:] == ("shared", 1) for row in rows if row[2] == "none")
