"""`static:from=RUN_DIR`: the constant weights that a finished run implies, in place of the run."""

import dataclasses

from mtl_zoo.balancers import Static
from mtl_zoo.experiments import argument_text

RUN = "from"


def settled(choice):
    """Return a choice of `Static` with the weights of a run, where one is given; others as they are.

    The text has the weights too, so that a recipe stays what it is when the run is gone or trained again.

    Args:
        choice: `Choice`. Its argument `from` is a run directory; `beta`, if it is there, is that of
            `Static.from_history`.

    Raises:
        ValueError: If there is another argument, no finished run, or one whose method does not weigh tasks.
    """
    if choice.target is not Static or RUN not in choice.arguments:
        return choice
    options = dict(choice.arguments)
    path = options.pop(RUN)
    if not set(options) <= {"beta"}:
        raise ValueError(f"`static:from=RUN_DIR` takes beta and no more. Received: {choice.text!r}")
    given = {"weights": _weights(path, options)}
    return dataclasses.replace(choice, text=f"static:{argument_text.write(given)}", arguments=given)


def _weights(path, options):
    """Return a dict from the tasks of a run to weights."""
    from mtl_zoo.experiments.run import Run  # which reads recipes, and these make choices

    run = Run(path)
    if not run.is_complete:
        raise ValueError(f"`static:from=RUN_DIR` must be given a finished run. Received: '{path}'")
    try:
        return Static.from_history(run.history, run.tasks, **options).get_config()["weights"]
    except (OSError, ValueError) as error:
        raise ValueError(f"`static:from={path}`: {error}") from error
