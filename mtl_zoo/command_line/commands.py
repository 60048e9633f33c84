"""What the command line does: train, evaluate, export, verify, list."""

import contextlib
import inspect
import math
import os
import pathlib
import sys
import tempfile
import time

import keras

from mtl_zoo import exporting, files, plots
from mtl_zoo.callbacks import Resume
from mtl_zoo.experiments import choices, recipe, run
from mtl_zoo.training import distribution
from mtl_zoo.training.labels import labelled_fractions
from mtl_zoo.training.trainer import Trainer
from mtl_zoo.validation import check_tasks

FORMATS = ("saved_model", "litert", "onnx")
FLAGS_OF_ALL_FORMATS = ("run_dir", "output", "format", *recipe.LOCATIONS)
NEEDED_BY = {"batch_sizes": "device", "image_scale": "image_bytes", "image_offset": "image_bytes"}


def train(options):
    """Train a model, select its best epoch by validation loss, and measure it; goes on if interrupted."""
    config = {name: options[name].value for name in recipe.KINDS}
    strategy = distribution.make_strategy(config["strategy"])
    is_chief = strategy.extended.should_checkpoint
    resume = Resume(pathlib.Path(options.run_dir, run.BACKUP), recipe=config, delete_checkpoint=False)
    with _reserved(options, is_chief) as path, _precision(config["precision"]):
        if options.overwrite and is_chief:
            resume.clear_other()
        with strategy.scope():
            trainer, splits = _prepare(config)
        _print_labelled(splits["train"], trainer, options.quiet or not is_chief)
        metrics = _fit(trainer, splits, config, path, resume, options.quiet)
        for split in ("validation", "test"):
            metrics[split] = _measure(trainer, splits[split], options.quiet)
        run.finish(path, metrics)
        if is_chief:
            _finish(options, config, resume)
    if is_chief:
        _print_metrics(metrics["test"], trainer)
        epochs = f"epoch {metrics['best_epoch']} of {config['epochs']}"
        print(f"\nSelected {epochs}, with the least validation loss.\nRun directory: {options.run_dir}")
        if options.export:
            print(f"SavedModel: {options.export}")


def _finish(options, config, resume):
    """Export the model as it is in the run directory, outside of any strategy, and remove the backup."""
    if options.export:
        _, model, tasks = _load_run(options.run_dir)
        information = _information(config, options.run_dir, options.export)
        exporting.saved_model(model, tasks, options.export, information=information)
    resume.clear()


def _load_run(path, options=()):
    """Return what was chosen, with the given places of data, and the model and tasks that belong to it."""
    config, model = run.load(path, recipe.KINDS)
    try:
        tasks = _tasks(config)
        check_tasks(model, tasks)
        _check_inputs(model, _chosen(config, "dataset").target)
    except ValueError as error:
        both = f"'{run.CONFIG}' and '{run.MODEL}' in '{path}' must be of one run. {run.REMEDY}"
        raise ValueError(f"{both} Received: {error}") from error
    given = {name: options[name].value for name in recipe.LOCATIONS if name in options}
    return config | {name: place for name, place in given.items() if place}, model, tasks


def _check_inputs(model, dataset):
    """Raise a `ValueError` unless a model takes what a dataset gives."""
    wanted, found = (
        [(x.shape, x.dtype) for x in keras.tree.flatten(inputs)]
        for inputs in (dataset.inputs(), model.inputs)
    )
    if wanted != found:
        raise ValueError(f"Inputs must be {wanted}, which are those of the dataset. Received: {found}")


def evaluate(options):
    """Measure a trained model on the test split."""
    config, model, tasks = _load_run(options.run_dir, options)
    trainer = Trainer(model, tasks)
    trainer.compile()
    _print_metrics(_measure(trainer, _load(config, "test"), options.quiet), trainer)


def export(options):
    """Write a trained model as a TensorFlow SavedModel, or as a LiteRT or ONNX file."""
    _check_flags_of_format(options)
    config, model, tasks = _load_run(options.run_dir, options)
    information = _information(config, options.run_dir, options.output)
    if options.format == "litert":
        representative = _load(config, "train") if options.precision == "int8" else None
        exporting.litert(model, tasks, options.output, options.precision, representative, information)
    elif options.format == "onnx":
        exporting.onnx(model, tasks, options.output, information)
    else:
        _export_saved_model(model, tasks, options, config, information)
    print("\n".join(exporting.describe(options.output)))


def _check_flags_of_format(options):
    """Refuse flags that the chosen format would ignore."""
    given = {name for name in options if options[name].present} - {*FLAGS_OF_ALL_FORMATS}
    wrong = {name for name in given if options.format != ("litert" if name == "precision" else "saved_model")}
    if wrong:
        flags = ", ".join(f"--{name}" for name in sorted(wrong))
        raise ValueError(f"Flags must suit --format={options.format}. Received: {flags}")
    for name, needed in NEEDED_BY.items():
        if name in given and options[needed].value == options[needed].default:
            raise ValueError(f"--{name} must come with --{needed}, without which it has no effect.")


def _export_saved_model(model, tasks, options, config, information):
    pixels = exporting.Pixels(_numbers(options.image_scale), _numbers(options.image_offset))
    exporting.saved_model(
        model,
        tasks,
        options.output,
        class_names=_class_names(options.class_names),
        image_bytes=pixels if options.image_bytes else None,
        example=options.example,
        device=options.device,
        batch_sizes=[int(size) for size in options.batch_sizes],
        bfloat16=options.bfloat16,
        warmup=_first_inputs(config, model) if options.warmup else None,
        information=information,
    )


def verify(options):
    """Compare an export, in a process without Keras, with its run's model on test data."""
    config, model, tasks = _load_run(options.run_dir or _run_of(options.export), options)
    batches = _load(config, "test").take(math.ceil(options.examples / config["batch_size"]))
    agreements = exporting.verify(options.export, model, tasks, batches)
    _print_table([["", "difference", "metric", "Keras", "export"], *_agreement_rows(agreements)])
    failed = [x.task for x in agreements if not x.within(options.tolerance, options.metric_tolerance)]
    if failed:
        raise ValueError(
            f"Differences must be at most --tolerance={options.tolerance:g} and "
            f"--metric_tolerance={options.metric_tolerance:g}. Received larger ones for {', '.join(failed)}"
        )


def _run_of(artefact):
    """Return the run directory that an artefact names, relative to where the artefact is."""
    run_dir = exporting.read_card(artefact).get("run_dir")
    if not run_dir:
        raise ValueError(f"--run_dir must be given, since '{artefact}' does not tell its run.")
    return pathlib.Path(artefact).resolve().parent / run_dir


def _agreement_rows(agreements):
    """Return a row per task and metric; the first of a task has the difference of its predictions."""
    for agreement in agreements:
        cells = [agreement.task, f"{agreement.difference:.1e}"]
        for name, values in (agreement.metrics or {"": ()}).items():
            yield [*cells, name, *(f"{value:.4f}" for value in values), *["", ""][len(values) :]]
            cells = ["", ""]


def _first_inputs(config, model):
    """Return the first test example as a batch of one, by the names of the inputs."""
    inputs, *_ = next(iter(_load(config, "test")))
    return {name: array[:1].numpy() for name, array in exporting.by_name(model, inputs).items()}


def _information(config, run_dir, artefact):
    """Return what the model card of an artefact tells of its run; the run's place as seen from there."""
    place = os.path.relpath(os.path.realpath(run_dir), os.path.dirname(os.path.realpath(artefact)))
    return {
        "dataset": config["dataset"],
        "architecture": config["architecture"],
        "run_dir": place,
        "metrics": run.read_metrics(run_dir),
    }


def _class_names(path):
    """Return the dictionary that a JSON file holds, or `None` without a file."""
    if not path:
        return None
    try:
        return files.read_json(path)
    except ValueError as error:
        raise ValueError(
            f"--class_names must be a JSON file, {{task: [names]}}. Received: {error}"
        ) from error


def _numbers(texts):
    """Return one float for all channels, or a tuple of one per channel."""
    numbers = tuple(float(text) for text in texts)
    return numbers if len(numbers) > 1 else numbers[0]


def list_choices(options):
    """List all datasets, architectures, balancers and aggregators with their arguments and papers."""
    del options
    for family in choices.FAMILIES.values():
        print(f"--{family.kind}=")
        _print_table([("  " + name, *rest) for name, *rest in choices.describe(family)])


@contextlib.contextmanager
def _precision(policy):
    """Let layers that are made in this context compute in a precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def _reserved(options, is_chief):
    """Reserve what a training will write before it takes any time; yield the run directory.

    Workers other than the chief take part in all there is to do and write to a directory of their own, which
    is removed.
    """
    if not is_chief:
        with tempfile.TemporaryDirectory() as path:
            yield pathlib.Path(path)
        return
    run.check_free(options.run_dir, options.overwrite)
    with contextlib.ExitStack() as stack:
        if options.export:
            exporting.check_absent(options.export)
            stack.enter_context(files.reserved(pathlib.Path(options.export).absolute().parent))
        yield stack.enter_context(files.reserved(options.run_dir))


def _prepare(config):
    """Return a compiled trainer and the datasets by split, checked as far as goes without reading them."""
    keras.utils.set_random_seed(config["seed"])
    splits = {split: _load(config, split) for split in ("train", "validation", "test")}
    keras.utils.set_random_seed(config["seed"])  # again: a dataset prepared now drew random numbers
    data, architecture, balancer, aggregator = (_chosen(config, kind) for kind in choices.FAMILIES)
    tasks = _tasks(config)
    model = architecture.make(data.target.inputs(), tasks, _encoder(data.target, config))
    trainer = Trainer(
        model,
        tasks,
        balancer.make(),
        aggregator.make(),
        **{name: config[name] for name in ("space", "accumulate", "non_finite")},
    )
    jit_compile = True if config["jit_compile"] else "auto"
    trainer.compile(keras.optimizers.Adam(config["learning_rate"]), jit_compile=jit_compile)
    trainer.border.admit(splits["test"])
    return trainer, splits


def _encoder(dataset, config):
    """Return a dataset's default encoder; one that is adapted on data takes the places of its files."""
    wanted = inspect.signature(dataset.encoder).parameters
    return dataset.encoder(**{name: config[name] for name in recipe.LOCATIONS if name in wanted})


def _chosen(config, kind):
    return choices.FAMILIES[kind].parse(config[kind])


def _tasks(config):
    """Return the tasks of the dataset, or the chosen ones."""
    known = {task.name: task for task in _chosen(config, "dataset").target.TASKS}
    names = config["tasks"] or list(known)
    if not set(names) <= set(known):
        raise ValueError(f"Tasks must be among {', '.join(known)}. Received: {', '.join(names)}")
    return tuple(task for name, task in known.items() if name in names)


def _print_labelled(dataset, trainer, quiet):
    """Print which part of the labels is there, to stderr; read them in any case, since it reshuffles."""
    with trainer.border.readable_errors():
        found = labelled_fractions(trainer.border.admit(dataset)[0], trainer.tasks)
    parts = (f"{name} {fraction:.1%}" for name, fraction in found.items())
    if not quiet:
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


def _fit(trainer, splits, config, path, resume, quiet):
    """Train, save the model of the best epoch and a picture, and return what `metrics.json` starts with."""
    started = time.monotonic()
    best = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=config["epochs"], restore_best_weights=True
    )
    record = run.Record(path, config | {"versions": run.versions()})
    with contextlib.redirect_stdout(sys.stderr):
        history = trainer.fit(
            splits["train"],
            validation_data=splits["validation"],
            epochs=config["epochs"],
            callbacks=[record, best, resume],
            verbose=_verbosity(quiet),
        ).history
    if not math.isfinite(best.best):
        raise ValueError(f"The validation loss must be finite in some epoch. Received: {history['val_loss']}")
    run.save_model(trainer.model, path)
    title = ", ".join(config[kind] for kind in choices.FAMILIES)
    with files.replaced(path / run.CURVES) as partial:
        plots.curves(history, trainer.tasks, title).savefig(partial, dpi=150)
    return {"best_epoch": best.best_epoch + 1, "seconds": round(time.monotonic() - started, 1)}


def _measure(trainer, dataset, quiet):
    with contextlib.redirect_stdout(sys.stderr):
        return trainer.evaluate(dataset, return_dict=True, verbose=_verbosity(quiet))


def _verbosity(quiet):
    """Return Keras' `verbose`: silent, a bar in a terminal, or a line per epoch elsewhere."""
    if quiet:
        return 0
    return 1 if sys.stderr.isatty() else 2


def _print_metrics(metrics, trainer):
    """Print a row per task and a column per metric; `nan` where nothing was measured."""
    names = {
        found.task.name: ["loss", *(name.removeprefix(f"{found.task.name}_") for name in found.names)]
        for found in trainer.task_metrics
    }
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
