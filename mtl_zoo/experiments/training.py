"""From a recipe to a run: the whole of a training."""

import contextlib
import math
import pathlib
import statistics
import sys
import tempfile
import time

import keras

from mtl_zoo import arguments, exporting, files, plots
from mtl_zoo.callbacks import Resume, checkpoints
from mtl_zoo.experiments.own_data import OwnData
from mtl_zoo.experiments.recipe import Recipe
from mtl_zoo.experiments.record import Record
from mtl_zoo.experiments.run import BACKUP, CURVES, STATE, Run
from mtl_zoo.training import distribution
from mtl_zoo.training.labels import labelled_fractions


def train(recipe, run_dir, overwrite=False, export=None, quiet=False, test=True, callbacks=()):
    """Train a model, select its best epoch by validation loss, and measure it; goes on if interrupted.

    Progress is printed to stderr. Of several workers all call this, with the same arguments.

    Args:
        recipe: `Recipe`.
        run_dir: Directory to write, as `Run` reads it.
        overwrite: Whether to replace an earlier run there. Defaults to `False`.
        export: Directory for a SavedModel, which must not exist. Defaults to `None`: nothing is exported.
        quiet: Whether to hide progress. Defaults to `False`.
        test: Whether to measure it on the test split too. Defaults to `True`.
        callbacks: Sequence of further Keras callbacks. One whose state must survive an interruption names it
            as `callbacks.Resume` says. Defaults to none.

    Returns:
        `Run`; `None` on workers other than the chief, which write nothing.

    Raises:
        FileExistsError: If there is something in the directory that may not be replaced.
        ValueError: If the data or what was chosen is not right, an interrupted training had another recipe,
            or the validation loss is finite in no epoch.
        OSError: If a place cannot be written.
    """
    arguments.instance("recipe", recipe, Recipe)
    run = Run(run_dir)
    strategy = distribution.make_strategy(recipe.strategy)
    is_chief = strategy.extended.should_checkpoint
    saved = recipe.essence() | recipe.places()
    resume = Resume(run.path / BACKUP, recipe=saved, delete_checkpoint=False)
    with _reserved(run, overwrite, export, is_chief) as written:
        if overwrite and is_chief:
            resume.clear_other()
        with strategy.scope():
            trainer, splits = _prepare(recipe)
        _print_labelled(splits["train"], trainer, quiet or not is_chief)
        metrics = _fit(trainer, splits, recipe, written, [*callbacks, resume], quiet)
        for split in ("validation", "test"):
            metrics[split] = measure(trainer, splits[split], quiet) if test or split != "test" else {}
        written.finish(metrics)
        if not is_chief:
            return None
        if export:
            about = {"class_names": run.class_names, "information": run.information(export)}
            exporting.saved_model(run.model, run.tasks, export, **about)
        checkpoints.move(run.path / BACKUP, run.path / STATE)
    return run


def measure(trainer, dataset, quiet):
    """Return the metrics of a compiled trainer on a dataset; progress goes to stderr, unless `quiet`."""
    with contextlib.redirect_stdout(sys.stderr):
        return trainer.evaluate(dataset, return_dict=True, verbose=_verbosity(quiet))


@contextlib.contextmanager
def _reserved(run, overwrite, export, is_chief):
    """Reserve what a training will write before it takes any time; yield the `Run` to write.

    Workers other than the chief take part in all there is to do and write to a directory of their own, which
    is removed.
    """
    if not is_chief:
        with tempfile.TemporaryDirectory() as path:
            yield Run(path)
        return
    run.check_free(overwrite)
    with contextlib.ExitStack() as stack:
        if export:
            exporting.check_absent(export)
            stack.enter_context(files.reserved(pathlib.Path(export).absolute().parent))
        stack.enter_context(files.reserved(run.path))
        yield run


def _prepare(recipe):
    """Return a compiled trainer and the datasets by split, checked as far as goes without reading them."""
    keras.utils.set_random_seed(recipe.seed)
    splits = {split: recipe.load(split) for split in ("train", "validation", "test")}
    splits["meta"] = recipe.load_meta()
    trainer = recipe.trainer(splits["train"])  # sets the seed again: a dataset prepared now drew numbers
    trainer.border.admit(splits["test"])
    return trainer, splits


def _print_labelled(dataset, trainer, quiet):
    """Print which part of the labels is there, to stderr; read them in any case, since it reshuffles."""
    with trainer.border.readable_errors():
        found = labelled_fractions(trainer.border.admit(dataset)[0], trainer.tasks)
    parts = (f"{name} {fraction:.1%}" for name, fraction in found.items())
    if not quiet:
        print("Labelled, in the first batches:", ", ".join(parts), file=sys.stderr)


def _fit(trainer, splits, recipe, run, callbacks, quiet):
    """Train, save the model of the best epoch and a picture, and return what `metrics.json` starts with."""
    started = time.monotonic()
    record = Record(run.path, recipe)
    best = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=recipe.epochs, restore_best_weights=True
    )
    with contextlib.redirect_stdout(sys.stderr):
        history = trainer.fit(
            splits["train"],
            validation_data=splits["validation"],
            meta_data=splits["meta"],
            epochs=recipe.epochs,
            callbacks=[record, best, *callbacks],
            verbose=_verbosity(quiet),
        ).history
    if not math.isfinite(best.best):
        raise ValueError(f"The validation loss must be finite in some epoch. Received: {history['val_loss']}")
    run.save_model(trainer.model)
    dataset = recipe.dataset.partition(":")[0] if isinstance(recipe.data, OwnData) else recipe.dataset
    title = ", ".join((dataset, recipe.architecture, recipe.balancer, recipe.aggregator))
    with files.replaced(run.path / CURVES) as partial:
        plots.curves(history, trainer.tasks, title).savefig(partial, dpi=150)
    return {
        "best_epoch": best.best_epoch + 1,
        "seconds": round(time.monotonic() - started, 1),
        "seconds_per_epoch": round(statistics.median(record.seconds[1:] or record.seconds), 3),
    }


def _verbosity(quiet):
    """Return Keras' `verbose`: silent, a bar in a terminal, or a line per epoch elsewhere."""
    if quiet:
        return 0
    return 1 if sys.stderr.isatty() else 2
