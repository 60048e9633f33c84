"""The command line: `mtl-zoo train`, `evaluate`, `export`, `verify` and `list`."""

import math
import sys

import tensorflow as tf
from absl import flags

from mtl_zoo import arguments
from mtl_zoo.command_line import commands
from mtl_zoo.experiments import choices
from mtl_zoo.exporting.litert import PRECISIONS as LITERT_PRECISIONS
from mtl_zoo.exporting.saved_model import BATCH_SIZES, DEVICES
from mtl_zoo.training.distribution import STRATEGIES
from mtl_zoo.training.trainer import NON_FINITE, SPACES

HELP = ("-h", "--help")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
DEFAULTS = {
    "dataset": "multi_digits",
    "architecture": "hard_sharing",
    "balancer": "equal",
    "aggregator": "none",
}


def main(arguments):
    """Run a command: results go to stdout, progress to stderr, a user's mistake to stderr in one line.

    Args:
        arguments: List of the command line's words, without the name of the program.

    Returns:
        Exit code: 0, or 1 if the command failed, 2 if the command line is wrong, 130 if interrupted.
    """
    try:
        _dispatch(arguments)
    except flags.Error as error:
        return _fail(error, 2)
    except (FloatingPointError, ImportError, OSError, ValueError) as error:
        return _fail(error, 1)
    except tf.errors.UnavailableError:
        return _fail("a worker is gone; run the same command again on all of them", 1)
    except KeyboardInterrupt as interrupt:
        return _fail(str(interrupt) or "interrupted", 130)
    return 0


class ChoiceParser(flags.ArgumentParser):
    """Checks a flag of the form `name:key=value,...`; its value stays the text.

    Args:
        family: `mtl_zoo.experiments.choices.Family` to choose from.
    """

    def __init__(self, family):
        super().__init__()
        self.family = family

    def parse(self, argument):
        """Return the argument if it is valid."""
        self.family.parse(argument)
        return argument


def _define_train(options):
    for kind, family in choices.FAMILIES.items():
        text = f"The {kind}: name or name:key=value,...; `mtl-zoo list` shows all."
        flags.DEFINE(ChoiceParser(family), kind, DEFAULTS[kind], text, options)
    flags.DEFINE_list("tasks", None, "Tasks to train, of the dataset's. Default: all.", flag_values=options)
    spaces = "What the aggregator sees: gradients of shared variables or of the shared representation."
    flags.DEFINE_enum("space", SPACES[0], SPACES, spaces, flag_values=options)
    _define_count(options, "epochs", 10, "Number of epochs.", arguments.EPOCHS)
    _define_count(options, "batch_size", 256, "Number of examples in a batch.", arguments.EXAMPLES)
    accumulate = "Number of batches that make one update."
    _define_count(options, "accumulate", 1, accumulate, arguments.COPIES)
    flags.DEFINE_float("learning_rate", 1e-3, "Learning rate of Adam.", flag_values=options)
    flags.register_validator("learning_rate", _is_positive, "must be positive and finite", options)
    flags.DEFINE_integer("seed", 0, "Seed of all that is random.", 0, 2**32 - 1, flag_values=options)
    strategies = "mirrored: all devices of this machine; multi_worker: the machines of TF_CONFIG."
    flags.DEFINE_enum("strategy", "none", list(STRATEGIES), strategies, flag_values=options)
    flags.DEFINE_enum("precision", PRECISIONS[0], PRECISIONS, "Of the layers.", flag_values=options)
    flags.DEFINE_bool("jit_compile", False, "Whether XLA compiles steps on a CPU too.", flag_values=options)
    non_finite = "What to do at a loss or gradient that is not finite."
    flags.DEFINE_enum("non_finite", NON_FINITE[0], NON_FINITE, non_finite, flag_values=options)
    flags.DEFINE_bool("overwrite", False, "Whether to replace an earlier run.", flag_values=options)
    flags.DEFINE_string("export", None, "Directory for a SavedModel; must not exist.", flag_values=options)
    _define_quiet(options)
    _define_path(options, "run_dir", "Directory to write: model, history, metrics, picture, logs.")
    _define_locations(options)


def _define_evaluate(options):
    _define_quiet(options)
    _define_path(options, "run_dir", "Directory of a finished run.")
    _define_locations(options)


def _define_export(options):
    _define_path(options, "run_dir", "Directory of a finished run.")
    _define_path(options, "output", "What to write; must not exist. Servers expect a number.")
    formats = "saved_model: a directory; litert: a file *.tflite; onnx: a file *.onnx."
    flags.DEFINE_enum("format", commands.FORMATS[0], commands.FORMATS, formats, flag_values=options)
    precision = "Of a LiteRT file; int8 is calibrated on training examples."
    flags.DEFINE_enum("precision", LITERT_PRECISIONS[0], LITERT_PRECISIONS, precision, flag_values=options)
    names = "JSON file, {task: [names of its classes]}; these tasks also answer class ids and names."
    flags.DEFINE_string("class_names", None, names, flag_values=options)
    encoded = "Whether to add a signature that takes encoded images."
    flags.DEFINE_bool("image_bytes", False, encoded, flag_values=options)
    scale = "Factor of the pixels of encoded images, or one per channel."
    flags.DEFINE_list("image_scale", [str(1 / 255)], scale, flag_values=options)
    flags.register_validator("image_scale", _are_numbers, "must be numbers", options)
    offset = "Summand of the scaled pixels, or one per channel."
    flags.DEFINE_list("image_offset", ["0"], offset, flag_values=options)
    flags.register_validator("image_offset", _are_numbers, "must be numbers", options)
    serialized = "Whether to add a signature that takes serialized tf.train.Examples."
    flags.DEFINE_bool("example", False, serialized, flag_values=options)
    device = "Where it must run; for a TPU, XLA compiles it for fixed batch sizes."
    flags.DEFINE_enum("device", DEVICES[0], DEVICES, device, flag_values=options)
    flags.DEFINE_list(
        "batch_sizes", list(map(str, BATCH_SIZES)), "Batch sizes for a TPU.", flag_values=options
    )
    flags.register_validator("batch_sizes", _are_integers, "must be integers", options)
    flags.DEFINE_bool("bfloat16", False, "Whether layers compute in bfloat16.", flag_values=options)
    warmup = "Whether to add warm-up requests for TensorFlow Serving, from the first test example."
    flags.DEFINE_bool("warmup", False, warmup, flag_values=options)
    _define_locations(options)


def _define_verify(options):
    _define_path(options, "export", "What was exported: a directory or a file.")
    run_dir = "Directory of its run. Default: the one that the export names."
    flags.DEFINE_string("run_dir", None, run_dir, flag_values=options)
    examples = "Test examples, up to whole batches."
    _define_count(options, "examples", 1000, examples, arguments.EXAMPLES * arguments.BATCHES)
    tolerance = "Largest difference of a prediction, relative to the largest prediction if that is over 1."
    flags.DEFINE_float("tolerance", 1e-4, tolerance, 0.0, flag_values=options)
    metric = "Largest difference of a metric."
    flags.DEFINE_float("metric_tolerance", 1e-3, metric, 0.0, flag_values=options)
    _define_locations(options)


def _define_count(options, name, default, text, most):
    flags.DEFINE_integer(name, default, text, 1, flag_values=options)
    flags.register_validator(name, lambda number: number <= most, f"must be at most {most:,}", options)


def _define_locations(options):
    flags.DEFINE_string("data_dir", None, "Prepared datasets. Default: TFDS's own.", flag_values=options)
    flags.DEFINE_string("manual_dir", None, "Files that you downloaded by hand.", flag_values=options)


def _define_quiet(options):
    flags.DEFINE_bool("quiet", False, "Whether to hide progress.", flag_values=options)


def _define_path(options, name, text):
    flags.DEFINE_string(name, None, text, flag_values=options)
    flags.register_validator(name, bool, "must be given", options)


def _are_integers(texts):
    return all(text.isdecimal() for text in texts)


def _are_numbers(texts):
    try:
        return bool(texts) and all(math.isfinite(float(text)) for text in texts)
    except ValueError:
        return False


def _is_positive(number):
    return 0 < number <= arguments.LARGEST


COMMANDS = {
    "train": (commands.train, _define_train),
    "evaluate": (commands.evaluate, _define_evaluate),
    "export": (commands.export, _define_export),
    "verify": (commands.verify, _define_verify),
    "list": (commands.list_choices, _define_locations),
}


def _dispatch(arguments):
    name, *rest = arguments or [""]
    if name in HELP:
        print(_usage())
        return
    if name not in COMMANDS:
        raise flags.Error(f"The first argument must be one of {', '.join(COMMANDS)}. Received: {name!r}")
    command, define = COMMANDS[name]
    options = flags.FlagValues()
    define(options)
    if set(HELP) & set(rest):
        print(f"{command.__doc__}\n{options.get_help()}")
        return
    positional = options([f"mtl-zoo {name}", *rest])[1:]
    if positional:
        raise flags.Error(f"`mtl-zoo {name}` takes flags only. Received: {' '.join(positional)}")
    command(options)


def _usage():
    lines = [f"  {name:10}{command.__doc__}" for name, (command, _) in COMMANDS.items()]
    return "\n".join(["mtl-zoo COMMAND --flag=value ...", "", *lines, "", "Flags: mtl-zoo COMMAND --help"])


def _fail(error, code):
    print("mtl-zoo:", " ".join(str(error).split()), file=sys.stderr)
    return code
