"""More epochs for a finished run."""

import dataclasses

from mtl_zoo.callbacks import checkpoints
from mtl_zoo.experiments.run import BACKUP, STATE


def reopen(run, epochs):
    """Lay the last state of a finished run where `train` goes on from, as if it had been interrupted.

    All that changes in a training goes on as it was at its end: optimizer, balancer, aggregator, order of the
    data, best epoch so far. A schedule of the learning rate spans all epochs, so it goes on from where it is
    in these, not from where the run ended.

    Args:
        run: `Run`, finished, or interrupted after it was reopened.
        epochs: Number of all epochs, those before included.

    Returns:
        `Recipe` to train by.

    Raises:
        FileNotFoundError: If there is no finished run.
        ValueError: If the run has so many epochs already, or its state is not there.
    """
    recipe = dataclasses.replace(run.recipe, epochs=epochs)
    if run.is_interrupted:
        return recipe
    if not run.is_complete:
        raise FileNotFoundError(f"'{run.path}' must hold a finished run, to go on from.")
    if epochs <= run.recipe.epochs:
        raise ValueError(
            f"`epochs` must be over {run.recipe.epochs}, those of the run in '{run.path}'. "
            f"Received: epochs={epochs}"
        )
    found = checkpoints.read(run.path / STATE)
    if found is None:
        raise ValueError(
            f"'{run.path / STATE}' must hold the state at the end of the run, which earlier versions did not "
            "keep. Train again with --overwrite."
        )
    state = found[1] | {"recipe": recipe.essence() | recipe.places()}
    checkpoints.write(run.path / BACKUP, state)
    return recipe
