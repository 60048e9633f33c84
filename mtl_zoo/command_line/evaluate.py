"""`mtl-zoo evaluate`: from a run to a table of its metrics on test data."""

from mtl_zoo.command_line import tables
from mtl_zoo.command_line.common_flags import define_path, define_quiet
from mtl_zoo.command_line.recipe_flags import define_locations, located


def define(options):
    """Define the flags."""
    define_quiet(options)
    define_path(options, "run_dir", "Directory of a finished run.")
    define_locations(options)


def evaluate(options):
    """Measure a trained model on the test split."""
    from mtl_zoo.experiments import Run
    from mtl_zoo.experiments.training import measure
    from mtl_zoo.training.trainer import Trainer

    run = Run(options.run_dir)
    trainer = Trainer(run.model, run.tasks)
    trainer.compile()
    test = located(run.recipe, options).load("test")
    tables.print_metrics(measure(trainer, test, options.quiet), run.tasks)
