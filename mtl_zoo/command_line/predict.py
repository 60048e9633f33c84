"""`mtl-zoo predict`: from new rows of a table to their answers."""

import csv
import functools
import os
import pathlib

from absl import flags

from mtl_zoo import files
from mtl_zoo.command_line.common_flags import define_path

BATCH = 1024


def define(options):
    """Define the flags."""
    flags.DEFINE_string(
        "run_dir", None, "Directory of a finished run of --csv or --images.", flag_values=options
    )
    flags.DEFINE_string("export", None, "Or what was exported of one.", flag_values=options)
    define_path(options, "input", "Table of new rows, .csv, .parquet or .jsonl; labels are not read.")
    define_path(options, "output", "Table to write, .csv: one row per row, in their order.")
    flags.DEFINE_string(
        "images", None, "Directory of new images. Default: that of training.", flag_values=options
    )
    flags.DEFINE_bool("overwrite", False, "Whether to replace earlier answers.", flag_values=options)


def predict(options):
    """Answer new rows of a table, with a run or what was exported of one."""
    from mtl_zoo.command_line import answers
    from mtl_zoo.datasets.new_rows import read_new_rows

    _check(options)
    card, answer = _of_run(options.run_dir) if options.run_dir else _of_export(options.export)
    rows, dataset = read_new_rows(options.input, _table(card, options), options.images)
    found = answer(dataset.batch(BATCH))
    columns = {"row": rows}
    for task, about in card["tasks"].items():
        columns |= answers.columns_of(task, about, found[task])
    _write(options.output, columns)
    print(f"Answers of {len(rows)} rows: {options.output}")


def _of_run(run_dir):
    """Return what a model card of a run would tell, and a function from batches to answers by task."""
    from mtl_zoo import exporting
    from mtl_zoo.experiments import Run

    run = Run(run_dir)
    card = exporting.model_card(run.model, run.tasks, run.class_names, run.information(run_dir))
    return card, functools.partial(_from_model, run)


def _of_export(artefact):
    """Return the model card of an export, and a function from batches to answers by task."""
    from mtl_zoo import exporting

    card = exporting.read_card(artefact)
    return card, lambda batches: exporting.answer(artefact, card["tasks"], _by_name(card, batches))


def _check(options):
    """Raise an error unless one model is named and the answers find a place."""
    if bool(options.run_dir) == bool(options.export):
        raise flags.Error("Either --run_dir or --export must be given.")
    output = pathlib.Path(options.output)
    if output.suffix.lower() != ".csv":
        raise flags.Error(f"--output must end with .csv, which is what is written. Received: {output}")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"--output must be in a directory that is there. Received: {output}")
    if os.path.lexists(output) and not options.overwrite:
        raise FileExistsError(f"'{output}' must not exist, unless --overwrite allows to replace it.")


def _table(card, options):
    """Return how training read its inputs."""
    if not isinstance(card.get("table"), dict):
        raise ValueError(
            f"'{options.run_dir or options.export}' must be of a training with --csv or --images, or it does "
            "not know the columns of a table. Received: one of another dataset"
        )
    if options.images and card["table"]["kind"] != "image_folder":
        raise flags.Error("--images must come with a training on images, not on a table.")
    return card["table"]


def _from_model(run, batches):
    """Return arrays of activated outputs by task."""
    import numpy as np

    from mtl_zoo.exporting.signatures import predictions

    found = []
    for batch in batches:
        logits = run.model(batch, training=False)
        found.append([np.asarray(predictions(task, logits[task.name])) for task in run.tasks])
    return {task.name: np.concatenate(x) for task, x in zip(run.tasks, zip(*found, strict=True), strict=True)}


def _by_name(card, batches):
    """Yield batches of arrays by the names of the inputs."""
    for batch in batches.as_numpy_iterator():
        yield batch if isinstance(batch, dict) else dict.fromkeys(card["inputs"], batch)


def _write(path, columns):
    """Write columns as a CSV file, which appears when it is complete."""
    with files.replaced(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
