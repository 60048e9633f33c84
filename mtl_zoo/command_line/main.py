"""The command line: `mtl-zoo train`, `inspect`, `predict`, `compare`, `group`, `evaluate` and others."""

import sys

from absl import flags

from mtl_zoo import program
from mtl_zoo.command_line import (
    compare,
    evaluate,
    export,
    group,
    inspect_table,
    list_choices,
    predict,
    train,
    verify,
)
from mtl_zoo.versions import versions

HELP = ("-h", "--help")
COMMANDS = {
    "train": (train.train, train.define),
    "compare": (compare.compare, compare.define),
    "group": (group.group, group.define),
    "evaluate": (evaluate.evaluate, evaluate.define),
    "export": (export.export, export.define),
    "verify": (verify.verify, verify.define),
    "predict": (predict.predict, predict.define),
    "inspect": (inspect_table.inspect_table, inspect_table.define),
    "list": (list_choices.list_choices, list_choices.define),
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
    except KeyboardInterrupt as interrupt:
        return _fail(str(interrupt) or "interrupted", 130)
    return 0


def _dispatch(arguments):
    name, *rest = arguments or [""]
    if name in HELP:
        print(_usage())
        return
    if name == "--version":
        print(", ".join(" ".join(pair) for pair in versions().items()))
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
    _run(command, options)


def _run(command, options):
    """Run a command with the library, which questions and mistakes do not wait for."""
    program.load_library()
    import tensorflow as tf

    try:
        command(options)
    except tf.errors.UnavailableError as error:
        raise OSError("a worker is gone; run the same command again on all of them") from error


def _usage():
    lines = [f"  {name:10}{command.__doc__}" for name, (command, _) in COMMANDS.items()]
    return "\n".join(["mtl-zoo COMMAND --flag=value ...", "", *lines, "", "Flags: mtl-zoo COMMAND --help"])


def _fail(error, code):
    print("mtl-zoo:", " ".join(str(error).split()), file=sys.stderr)
    return code
