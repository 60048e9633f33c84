"""`mtl-zoo train`: from flags to a recipe, a run and a table."""

import sys

from absl import flags

from mtl_zoo.command_line import own_data_flags, recipe_flags, tables
from mtl_zoo.command_line.common_flags import define_path, define_quiet
from mtl_zoo.experiments.recipe import LOCATIONS

OF_CONTINUE = {"continue", "epochs", "run_dir", "export", "quiet", *LOCATIONS}


def define(options):
    """Define the flags: those of a recipe, and where to write what."""
    recipe_flags.define(options)
    recipe_flags.define_file(options)
    own_data_flags.define(options)
    flags.DEFINE_bool("overwrite", False, "Whether to replace an earlier run.", flag_values=options)
    more = "Whether to give a finished run more epochs, --epochs in all; its other choices stay."
    flags.DEFINE_bool("continue", False, more, flag_values=options)
    flags.DEFINE_string("export", None, "Directory for a SavedModel; must not exist.", flag_values=options)
    define_quiet(options)
    define_path(options, "run_dir", "Directory to write: model, history, metrics, picture, logs.")


def train(options):
    """Train a model, select its best epoch by validation loss, and measure it; goes on if interrupted."""
    from mtl_zoo import experiments

    if options["continue"].value:
        recipe = _continued(options)
    else:
        recipe = recipe_flags.recipe_of(options, own_data_flags.dataset_of(options))
    run = experiments.train(recipe, options.run_dir, options.overwrite, options.export, options.quiet)
    if run is None:  # a worker, of which the chief tells
        return
    tables.print_metrics(run.metrics["test"], run.tasks)
    epochs = f"epoch {run.metrics['best_epoch']} of {recipe.epochs}"
    print(f"\nSelected {epochs}, with the least validation loss.\nRun directory: {options.run_dir}")
    if options.export:
        print(f"SavedModel: {options.export}")


def _continued(options):
    """Return the recipe of a run with more epochs."""
    from mtl_zoo.experiments import Run
    from mtl_zoo.experiments.continuation import reopen

    given = {name for name in options if options[name].present}
    if given - OF_CONTINUE or "epochs" not in given:
        names = ", ".join(f"--{name}" for name in sorted(given - OF_CONTINUE)) or "no --epochs"
        raise flags.Error(f"--continue needs --epochs, and keeps all other choices. Received: {names}")
    recipe = recipe_flags.located(reopen(Run(options.run_dir), options.epochs), options)
    if recipe.schedule != "constant":
        print(
            f"The schedule '{recipe.schedule}' of the learning rate spans all {recipe.epochs} epochs now: it "
            "goes on from where it is in these, not from where the run ended.",
            file=sys.stderr,
        )
    return recipe
