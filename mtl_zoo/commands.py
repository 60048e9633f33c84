"""What the command line does: train, evaluate, export, list."""

import contextlib
import importlib.metadata
import inspect
import math
import pathlib
import platform
import sys
import time

import keras

from mtl_zoo import choices, exporting, plots, run
from mtl_zoo.labels import checked, labelled_fractions, readable_label_errors
from mtl_zoo.trainer import Trainer

LOCATIONS = ("data_dir", "manual_dir")
RECIPE = (*choices.FAMILIES, "tasks", "space", "epochs", "batch_size", "learning_rate", "seed", *LOCATIONS)


def train(options):
    """Train a model, select its best epoch by validation loss, and measure it on the test split."""
    config = {name: options[name].value for name in RECIPE}
    with _reserved(options) as path:
        trainer, splits = _prepare(config)
        if not options.quiet:
            _print_labelled(splits["train"], trainer.tasks)
        metrics = _fit(trainer, splits, config, path, options.quiet)
        for split in ("validation", "test"):
            metrics[split] = _measure(trainer, splits[split], options.quiet)
        run.write_json(path / run.METRICS, metrics)
        if options.export:
            exporting.saved_model(trainer.model, trainer.tasks, options.export)
    _print_metrics(metrics["test"], trainer.tasks)
    print(f"\nSelected epoch {metrics['best_epoch']} of {config['epochs']}, with the least validation loss.")
    print(f"Run directory: {options.run_dir}")
    if options.export:
        print(f"SavedModel: {options.export}")


def evaluate(options):
    """Measure a trained model on the test split."""
    config, model = run.load(options.run_dir, RECIPE)
    given = {name: options[name].value for name in LOCATIONS if options[name].value}
    trainer = Trainer(model, _tasks(config))
    trainer.compile()
    _print_metrics(_measure(trainer, _load(config | given, "test"), options.quiet), trainer.tasks)


def export(options):
    """Write a trained model as a TensorFlow SavedModel with a signature per task and one for all."""
    config, model = run.load(options.run_dir, RECIPE)
    exporting.saved_model(model, _tasks(config), options.output)
    print("\n".join(exporting.describe(options.output)))


def list_choices(options):
    """List all datasets, architectures, balancers and aggregators with their arguments and papers."""
    del options
    for family in choices.FAMILIES.values():
        print(f"--{family.kind}=")
        _print_table([("  " + name, *rest) for name, *rest in choices.describe(family)])


@contextlib.contextmanager
def _reserved(options):
    """Reserve what a training will write before it takes any time; yield the run directory."""
    run.check_free(options.run_dir, options.overwrite)
    with contextlib.ExitStack() as stack:
        if options.export:
            exporting.check_absent(options.export)
            stack.enter_context(run.reserved(pathlib.Path(options.export).absolute().parent))
        yield stack.enter_context(run.reserved(options.run_dir))


def _prepare(config):
    """Return a compiled trainer and the datasets by split, checked as far as goes without reading them."""
    keras.utils.set_random_seed(config["seed"])
    splits = {split: _load(config, split) for split in ("train", "validation", "test")}
    data, architecture, balancer, aggregator = (_chosen(config, kind) for kind in choices.FAMILIES)
    tasks = _tasks(config)
    model = architecture.make(data.target.inputs(), tasks, _encoder(data.target, config))
    trainer = Trainer(model, tasks, balancer.make(), aggregator.make(), config["space"])
    trainer.compile(keras.optimizers.Adam(config["learning_rate"]))
    checked(splits["test"], None, trainer.tasks)
    return trainer, splits


def _encoder(dataset, config):
    """Return a dataset's default encoder; one that is adapted on data takes the places of its files."""
    wanted = inspect.signature(dataset.encoder).parameters
    return dataset.encoder(**{name: config[name] for name in LOCATIONS if name in wanted})


def _chosen(config, kind):
    return choices.FAMILIES[kind].parse(config[kind])


def _tasks(config):
    """Return the tasks of the dataset, or the chosen ones."""
    known = {task.name: task for task in _chosen(config, "dataset").target.TASKS}
    names = config["tasks"] or list(known)
    if not set(names) <= set(known):
        raise ValueError(f"Tasks must be among {', '.join(known)}. Received: {', '.join(names)}")
    return tuple(task for name, task in known.items() if name in names)


def _print_labelled(dataset, tasks):
    """Print which part of the labels is there, to stderr."""
    with readable_label_errors(tasks):
        found = labelled_fractions(checked(dataset, None, tasks), tasks)
    parts = (f"{name} {fraction:.1%}" for name, fraction in found.items())
    print("Labelled, in the first batches:", ", ".join(parts), file=sys.stderr)


def _load(config, split):
    data = _chosen(config, "dataset")
    arguments = dict(data.arguments)
    if config["manual_dir"]:
        if not data.takes("manual_dir"):
            raise ValueError(f"Dataset '{data.text}' takes no --manual_dir: it needs no files of the user's.")
        arguments["manual_dir"] = config["manual_dir"]
    return data.target.load(
        split, config["batch_size"], data_dir=config["data_dir"], seed=config["seed"], **arguments
    )


def _fit(trainer, splits, config, path, quiet):
    """Train, save the model of the best epoch and a picture, and return what `metrics.json` starts with."""
    started = time.monotonic()
    best = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=config["epochs"], restore_best_weights=True
    )
    record = run.Record(path, config | {"versions": _versions()})
    with contextlib.redirect_stdout(sys.stderr):
        history = trainer.fit(
            splits["train"],
            validation_data=splits["validation"],
            epochs=config["epochs"],
            callbacks=[record, best],
            verbose=_verbosity(quiet),
        ).history
    if not math.isfinite(best.best):
        raise ValueError(f"The validation loss must be finite in some epoch. Received: {history['val_loss']}")
    run.save_model(trainer.model, path)
    title = ", ".join(config[kind] for kind in choices.FAMILIES)
    plots.curves(history, trainer.tasks, title).savefig(path / run.CURVES, dpi=150)
    return {"best_epoch": best.best_epoch + 1, "seconds": round(time.monotonic() - started, 1)}


def _versions():
    versions = {"python": platform.python_version()}
    for name in ("mtl-zoo", "keras", "tensorflow"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a source tree on the path
            versions[name] = importlib.metadata.version(name)
    return versions


def _measure(trainer, dataset, quiet):
    with contextlib.redirect_stdout(sys.stderr):
        return trainer.evaluate(dataset, return_dict=True, verbose=_verbosity(quiet))


def _verbosity(quiet):
    """Return Keras' `verbose`: silent, a bar in a terminal, or a line per epoch elsewhere."""
    if quiet:
        return 0
    return 1 if sys.stderr.isatty() else 2


def _print_metrics(metrics, tasks):
    """Print a row per task and a column per metric."""
    names = {task.name: ["loss", *(metric().name for metric in task.metrics)] for task in tasks}
    columns = list(dict.fromkeys(name for found in names.values() for name in found))
    rows = [
        [task, *(f"{metrics[f'{task}_{name}']:.4f}" if name in found else "" for name in columns)]
        for task, found in names.items()
    ]
    _print_table([["", *columns], *rows])


def _print_table(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
