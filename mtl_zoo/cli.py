"""The command line: `mtl-zoo train`, `evaluate`, `export` and `list`."""

import math
import sys

from absl import flags

from mtl_zoo import choices, commands
from mtl_zoo.trainer import SPACES

HELP = ("-h", "--help")
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
    except (OSError, ValueError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    return 0


class ChoiceParser(flags.ArgumentParser):
    """Checks a flag of the form `name:key=value,...`; its value stays the text.

    Args:
        family: `mtl_zoo.choices.Family` to choose from.
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
    flags.DEFINE_integer("epochs", 10, "Number of epochs.", 1, flag_values=options)
    flags.DEFINE_integer("batch_size", 256, "Number of examples in a batch.", 1, flag_values=options)
    flags.DEFINE_float("learning_rate", 1e-3, "Learning rate of Adam.", flag_values=options)
    flags.register_validator("learning_rate", _is_positive, "must be positive and finite", options)
    flags.DEFINE_integer("seed", 0, "Seed of all that is random.", 0, 2**32 - 1, flag_values=options)
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
    _define_path(options, "output", "Directory to write; must not exist. Servers expect a number.")
    _define_locations(options)


def _define_locations(options):
    flags.DEFINE_string("data_dir", None, "Prepared datasets. Default: TFDS's own.", flag_values=options)
    flags.DEFINE_string("manual_dir", None, "Files that you downloaded by hand.", flag_values=options)


def _define_quiet(options):
    flags.DEFINE_bool("quiet", False, "Whether to hide progress.", flag_values=options)


def _define_path(options, name, text):
    flags.DEFINE_string(name, None, text, flag_values=options)
    flags.register_validator(name, bool, "must be given", options)


def _is_positive(number):
    return 0 < number < math.inf


COMMANDS = {
    "train": (commands.train, _define_train),
    "evaluate": (commands.evaluate, _define_evaluate),
    "export": (commands.export, _define_export),
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
