"""`mtl-zoo verify`: from an export to a table of its differences from its run."""

import math
import pathlib

from absl import flags

from mtl_zoo import arguments
from mtl_zoo.command_line import tables
from mtl_zoo.command_line.common_flags import define_path
from mtl_zoo.command_line.recipe_flags import define_count, define_locations, located


def define(options):
    """Define the flags."""
    define_path(options, "export", "What was exported: a directory or a file.")
    run_dir = "Directory of its run. Default: the one that the export names."
    flags.DEFINE_string("run_dir", None, run_dir, flag_values=options)
    examples = "Test examples, up to whole batches."
    define_count(options, "examples", 1000, examples, arguments.EXAMPLES * arguments.BATCHES)
    tolerance = "Largest difference of a prediction, relative to the largest prediction if that is over 1."
    flags.DEFINE_float("tolerance", 1e-4, tolerance, 0.0, flag_values=options)
    metric = "Largest difference of a metric."
    flags.DEFINE_float("metric_tolerance", 1e-3, metric, 0.0, flag_values=options)
    define_locations(options)


def verify(options):
    """Compare an export, in a process without Keras, with its run's model on test data."""
    from mtl_zoo import exporting
    from mtl_zoo.experiments import Run

    run = Run(options.run_dir or _run_of(options.export))
    model, recipe = run.model, located(run.recipe, options)
    batches = recipe.load("test").take(math.ceil(options.examples / recipe.batch_size))
    agreements = exporting.verify(options.export, model, run.tasks, batches)
    tables.print_table([["", "difference", "metric", "Keras", "export"], *_rows(agreements)])
    failed = [x.task for x in agreements if not x.within(options.tolerance, options.metric_tolerance)]
    if failed:
        raise ValueError(
            f"Differences must be at most --tolerance={options.tolerance:g} and "
            f"--metric_tolerance={options.metric_tolerance:g}. Received larger ones for {', '.join(failed)}"
        )


def _run_of(artefact):
    """Return the run directory that an artefact names, relative to where the artefact is."""
    from mtl_zoo import exporting

    run_dir = exporting.read_card(artefact).get("run_dir")
    if not run_dir:
        raise ValueError(f"--run_dir must be given, since '{artefact}' does not tell its run.")
    return pathlib.Path(artefact).resolve().parent / run_dir


def _rows(agreements):
    """Return a row per task and metric; the first of a task has the difference of its predictions."""
    for agreement in agreements:
        cells = [agreement.task, f"{agreement.difference:.1e}"]
        for name, values in (agreement.metrics or {"": ()}).items():
            yield [*cells, name, *(f"{value:.4f}" for value in values), *["", ""][len(values) :]]
            cells = ["", ""]
