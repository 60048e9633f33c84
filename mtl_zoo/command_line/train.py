"""`mtl-zoo train`: from flags to a recipe, a run and a table."""

from absl import flags

from mtl_zoo.command_line import recipe_flags, tables
from mtl_zoo.command_line.common_flags import define_path, define_quiet


def define(options):
    """Define the flags: those of a recipe, and where to write what."""
    recipe_flags.define(options)
    flags.DEFINE_bool("overwrite", False, "Whether to replace an earlier run.", flag_values=options)
    flags.DEFINE_string("export", None, "Directory for a SavedModel; must not exist.", flag_values=options)
    define_quiet(options)
    define_path(options, "run_dir", "Directory to write: model, history, metrics, picture, logs.")


def train(options):
    """Train a model, select its best epoch by validation loss, and measure it; goes on if interrupted."""
    from mtl_zoo import experiments

    recipe = recipe_flags.recipe_of(options)
    run = experiments.train(recipe, options.run_dir, options.overwrite, options.export, options.quiet)
    if run is None:  # a worker, of which the chief tells
        return
    tables.print_metrics(run.metrics["test"], run.tasks)
    epochs = f"epoch {run.metrics['best_epoch']} of {recipe.epochs}"
    print(f"\nSelected {epochs}, with the least validation loss.\nRun directory: {options.run_dir}")
    if options.export:
        print(f"SavedModel: {options.export}")
