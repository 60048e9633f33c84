"""`mtl-zoo group`: from a dataset to networks that each train some of its tasks."""

import pathlib

from absl import flags

from mtl_zoo.command_line import own_data_flags, recipe_flags, tables
from mtl_zoo.command_line.common_flags import define_path, define_quiet
from mtl_zoo.experiments.recipe import FIELDS

OF_METHODS = ("balancer", "aggregator", "space", "refresh_every")  # equal weights
KEYS = tuple(key for key in FIELDS if key not in OF_METHODS)


def define(options):
    """Define the flags: those of a recipe, but for methods, and how many networks there may be."""
    flags.DEFINE_integer("budget", 3, "Largest number of networks.", 1, 1_000, flag_values=options)
    text = "Updates between measurements of the affinities."
    flags.DEFINE_integer("every", 10, text, 1, 1_000_000, flag_values=options)
    recipe_flags.define(options, KEYS)
    recipe_flags.define_file(options)
    own_data_flags.define(options)
    flags.DEFINE_bool("overwrite", False, "Whether to replace an earlier run.", flag_values=options)
    define_quiet(options)
    define_path(options, "run_dir", "Directory to write: the run, the matrix, its picture, recipes.")


def group(options):
    """Recommend which tasks to train together: train once, measure how they help each other."""
    from mtl_zoo import relations
    from mtl_zoo.relations.recommend import GROUPS, MATRIX, PICTURE, RECIPES

    recipe = recipe_flags.recipe_of(options, own_data_flags.dataset_of(options), KEYS)
    path = pathlib.Path(options.run_dir)
    found = relations.recommend(recipe, path, options.budget, options.every, options.overwrite, options.quiet)
    print("What a step for the task of a row takes away from the loss of that of a column:")
    tables.print_table(relations.TaskMatrix.read(path / MATRIX).rows())
    print(f"\n{found.text()}\nRun directory: {path}: {MATRIX}, {PICTURE}, {GROUPS}, {RECIPES}/")
