"""What an export is made of: a run, or any Keras file with one output per task."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from mtl_zoo import files
from mtl_zoo.command_line.recipe_flags import located
from mtl_zoo.experiments import Run
from mtl_zoo.experiments.task_text import TaskText


class Source(NamedTuple):
    """A model and what belongs to it.

    Args:
        model: Functional `keras.Model`.
        tasks: Sequence of `Task`.
        class_names: Dictionary from tasks to the names of their classes, as far as they are known.
        information: Dictionary for the model card.
        load: Function from the name of a split to its batches, or `None` without data.
    """

    model: keras.Model
    tasks: tuple
    class_names: dict
    information: dict
    load: Callable | None


def of_run(options):
    """Return the model of the run that `--run_dir` names."""
    run = Run(options.run_dir)
    information = run.information(options.output)
    return Source(run.model, run.tasks, run.class_names, information, located(run.recipe, options).load)


def of_file(options):
    """Return the model in the file that `--model` names, with the tasks of `--task`."""
    try:
        model = files.load_model(options.model)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(
            f"--model must be a Keras file. Received: --model={options.model}: {error}"
        ) from error
    texts = [_sized(TaskText.parse(text), model) for text in options.task]
    names = {text.name: list(map(str, text.classes)) for text in texts if text.classes is not None}
    return Source(model, tuple(text.task() for text in texts), names, {}, None)


def representative(options, source):
    """Return batches of inputs to calibrate on: those of `--representative`, or training examples."""
    if options.representative:
        return [_read_arrays(options.representative, source.model)]
    if source.load is None:
        raise ValueError("--precision=int8 of a --model must come with --representative, an .npz file.")
    return source.load("train")


def _sized(text, model):
    """Return a task whose size, if it is not given, is that of the last axis of the model's output."""
    outputs = model.output if isinstance(model.output, dict) else {}
    shape = outputs[text.name].shape if text.name in outputs else (1,)
    return text.sized(shape[-1])


def _read_arrays(path, model):
    """Return one batch of inputs from an .npz file."""
    names = [x.name for x in model.inputs]
    message = f"--representative must be an .npz file of the arrays {names}. Received: {path}"
    try:
        with np.load(files.check_file(path)) as arrays:
            if set(arrays) == set(names):
                return [arrays[name] for name in names]
    except files.UNREADABLE as error:
        raise ValueError(message) from error
    raise ValueError(message)
