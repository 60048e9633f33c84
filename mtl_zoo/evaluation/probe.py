"""What the data say of balancing, before any method is tried."""

import csv
import dataclasses
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from mtl_zoo import arguments, plots
from mtl_zoo.callbacks import GradientMonitor
from mtl_zoo.callbacks.gradient_monitor import COSINE, NORM, TABLE
from mtl_zoo.evaluation import findings
from mtl_zoo.experiments import Recipe
from mtl_zoo.training.labels import labelled_fractions

MEASUREMENTS = 16  # after the first step, as far as there are so many
PLAIN = {
    **{"balancer": "equal", "aggregator": "none", "refresh_every": 1, "space": "shared", "accumulate": 1},
    **{"strategy": "none", "schedule": "constant", "warmup_steps": 0},
}


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a short training with equal weights measured: numbers, sentences and a picture.

    Args:
        tasks: Names of the tasks.
        steps: Number of updates.
        cosines: Cosines of two tasks' gradients of the variables that both reach, as rows of a matrix: means
            over the training; `None` where two tasks share nothing, and on the diagonal.
        norms: Per task the mean length of the gradient of its loss by the layers that it shares with others;
            `None` where it shares nothing.
        labelled: Per task the part of its labels that is there.
    """

    tasks: tuple
    steps: int
    cosines: tuple
    norms: tuple
    labelled: tuple

    def text(self):
        """Return the findings in plain sentences, the last of which says what they suggest."""
        return findings.text(self)

    def plot(self, title=None):
        """Return the numbers as a picture, a `matplotlib.figure.Figure`."""
        cosines, norms = (np.array(values, "float64") for values in (self.cosines, self.norms))
        return plots.task_gradients(cosines, norms, self.labelled, self.tasks, title)

    def get_config(self):
        """Return plain values, as JSON has them, out of which `from_config` makes the same probe."""
        return dataclasses.asdict(self) | {
            "tasks": list(self.tasks),
            "cosines": list(map(list, self.cosines)),
            "norms": list(self.norms),
            "labelled": list(self.labelled),
        }

    @classmethod
    def from_config(cls, config):
        """Return the probe that `get_config` described."""
        lists = {key: tuple(value) for key, value in config.items() if key != "steps"}
        return cls(**config | lists | {"cosines": tuple(map(tuple, config["cosines"]))})


def probe(recipe, steps=64):
    """Train a recipe's model a short time with equal weights, and measure the gradients of its tasks.

    The gradients are measured after the first update and about 16 times more, by `GradientMonitor` on one
    batch of the training split that has labels of every task. Nothing is written.

    Args:
        recipe: `Recipe`, of which balancer, aggregator and schedule do not count.
        steps: Number of updates. Defaults to 64.

    Returns:
        `Probe`.

    Raises:
        ValueError: If no batch has labels of every task.

    Example:

    >>> recipe = mz.experiments.Recipe(dataset="scaled_regression", batch_size=32)
    >>> found = probe(recipe, steps=2)  # labels of deviation 1 and 100
    >>> found.tasks, found.norms[1] > 10 * found.norms[0]
    (('small', 'large'), True)
    """
    arguments.instance("recipe", recipe, Recipe)
    steps = arguments.integer("steps", steps, 1, arguments.BATCHES)
    recipe = dataclasses.replace(recipe, **PLAIN)
    train = recipe.load("train")
    trainer = recipe.trainer(train)
    labelled = labelled_fractions(trainer.border.admit(train)[0], trainer.tasks)
    names = tuple(labelled)
    rows = _measured(trainer, train, steps)
    return Probe(names, steps, mean_cosines(rows, names), _norms(rows, names), tuple(labelled.values()))


def _measured(trainer, train, steps):
    """Train, and return the rows of the table that `GradientMonitor` writes."""
    with tempfile.TemporaryDirectory() as folder:
        every = max(1, steps // MEASUREMENTS)
        monitor = GradientMonitor(folder, _whole_batch(train, trainer.tasks), every)
        trainer.fit(train.repeat().take(steps), callbacks=[monitor], verbose=0)
        with (pathlib.Path(folder) / TABLE).open(newline="") as file:
            return list(csv.DictReader(file))


def _whole_batch(train, tasks):
    """Return a dataset of the first batch that has labels of every task."""

    def is_whole(*batch):
        return tf.reduce_all([task.labelled_fraction(task.labels_of(batch[1])) > 0 for task in tasks])

    found = train.filter(is_whole).take(1).cache()
    if not list(found):
        names = [task.name for task in tasks]
        raise ValueError(f"A batch must have labels of every task, {names}. Received: none; make it larger")
    return found


def mean_cosines(rows, names):
    """Return the mean cosines of a table of `GradientMonitor`, as rows of a matrix.

    Args:
        rows: Dictionaries, as `csv.DictReader` reads them.
        names: Names of the tasks.
    """
    pairs = {}
    for row in rows:
        if row["quantity"] == COSINE:
            pairs.setdefault(frozenset((row["task"], row["other_task"])), []).append(float(row["value"]))
    return tuple(tuple(_mean(pairs.get(frozenset((one, other)), ())) for other in names) for one in names)


def _norms(rows, names):
    """Return per task the mean length of its gradient by the layers that others reach too."""
    norms = [row for row in rows if row["quantity"] == NORM]
    reached = {(row["layer"], row["task"]) for row in norms}
    owners = [layer for layer, _ in reached]
    shared = {layer for layer in owners if owners.count(layer) > 1}
    squares = {name: {} for name in names}
    for row in norms:
        if row["layer"] in shared:
            of_task = squares[row["task"]]
            of_task[row["step"]] = of_task.get(row["step"], 0.0) + float(row["value"]) ** 2
    return tuple(_mean([square**0.5 for square in squares[name].values()]) for name in names)


def _mean(values):
    """Return the mean of the finite ones among values; `None` if there is none."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else None
