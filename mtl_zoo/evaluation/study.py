"""A study: its methods, their trainings, and what was measured of them."""

import dataclasses
import functools
import pathlib

import numpy as np

from mtl_zoo.evaluation.cell import Cell
from mtl_zoo.evaluation.cells import Job
from mtl_zoo.evaluation.delta_m import delta_m, number
from mtl_zoo.evaluation.grid import EQUAL, SINGLE, counterpart
from mtl_zoo.evaluation.ranks import mean_rank
from mtl_zoo.headlines import headline_metrics

CELLS = "cells"


class Study:
    """Methods in a directory, and what is known of them so far; nothing is trained by it.

    Args:
        path: Directory.
        methods: Sequence of `Method`.
        grid: `Grid`.
    """

    def __init__(self, path, methods, grid):
        self.path = pathlib.Path(path)
        self.methods, self.grid = tuple(methods), grid
        self.tasks = tuple(map(_settled, self.methods[0].recipe.tasks()))
        self._cells = {}

    @property
    def headlines(self):
        """Dictionary from pairs of a task and one of its headline metrics to 1 if more is better, else -1."""
        return {
            (task.name, name): sign for task in self.tasks for name, sign in headline_metrics(task).items()
        }

    def cell(self, method, point, seed):
        """Return the `Cell` of a method, tuned values and a seed."""
        key = (method.recipe, repr(point), seed)
        if key not in self._cells:
            self._cells[key] = Cell(self.path / CELLS, method.at(point, seed))
        return self._cells[key]

    def tuning(self):
        """Return the `Job`s that tuned values are chosen by; none where there is nothing to choose."""
        return [
            self._job(method, point, seed, "train")
            for method in self.methods
            for point in self.grid.points
            for seed in self._tuning_seeds
        ]

    def testing(self):
        """Return the `Job`s of the chosen values: all seeds, and the test split."""
        return [
            self._job(method, self.chosen(method), seed, "test")
            for method in self.methods
            if self.chosen(method) is not None
            for seed in self.grid.seeds
        ]

    def chosen(self, method):
        """Return the point of the grid that is best on validation; `None` where no point could be trained.

        Best is the least relative distance, on average over tasks and their headline metrics, to the best
        that any value of this method reached: `delta_m` with that as the baseline. The sum of the losses
        would be that of the task with the largest numbers. Where a best is 0, mean ranks count instead.
        """
        points = self.grid.points
        if len(points) == 1:
            return points[0]
        found = {index: self._validation(method, point) for index, point in enumerate(points)}
        scores = self._scores({index: metrics for index, metrics in found.items() if metrics})
        return points[max(scores, key=scores.get)] if scores else None

    def tested(self, method):
        """Return a dictionary from seeds to `Cell`s whose test metrics are there, of the chosen values."""
        point = self.chosen(method)
        cells = {} if point is None else {seed: self.cell(method, point, seed) for seed in self.grid.seeds}
        return {seed: cell for seed, cell in cells.items() if not self.fault(cell, "test")}

    def means(self, method):
        """Return a dictionary from headline metrics, as the logs name them, to means over seeds on test."""
        return self._means([cell.test for cell in self.tested(method).values()])

    def deltas(self, method):
        """Return δm in percent by seed: against single-task models of the same seed and the same recipe.

        Raises:
            ValueError: If it is not defined: see `delta_m`.
        """
        single = counterpart(self.methods, method, SINGLE)
        baseline = self.tested(single) if single else {}
        return {
            seed: delta_m(cell.test, baseline[seed].test, self.tasks)
            for seed, cell in self.tested(method).items()
            if seed in baseline
        }

    def reference(self, method):
        """Return what a method is compared with: equal weighting, or single-task models for that itself.

        Returns:
            `Method`, or `None` for single-task models, and where there is nothing to compare with.
        """
        if method.is_single:
            return None
        return counterpart(self.methods, method, SINGLE if method.is_equal else EQUAL)

    def ranks(self):
        """Return a dictionary from names of methods to mean ranks, of means over seeds on test."""
        table = {method.name: self.means(method) for method in self.methods}
        table = {name: means for name, means in table.items() if means}
        return mean_rank(table, self.tasks) if table else {}

    def failures(self):
        """Return a dictionary from labels of what is left out of the tables to why, in one line."""
        jobs = {job.label: job for job in (*self.tuning(), *self.testing())}
        splits = {"train": "validation", "test": "test"}
        faults = {label: self.fault(job.cell, splits[job.kind]) for label, job in jobs.items()}
        return {label: fault for label, fault in faults.items() if fault}

    def fault(self, cell, split):
        """Return why a cell does not count on a split; `None` if it does."""
        if not cell.has("test" if split == "test" else "train"):
            return cell.failure or "not trained yet"
        try:
            for task in self.tasks:
                for name in headline_metrics(task):
                    number(getattr(cell, split), task, name)
        except ValueError as error:
            return f"{split}: {error}"
        return None

    @functools.cached_property
    def _tuning_seeds(self):
        return self.grid.seeds[: self.grid.tuning_seeds] if len(self.grid.points) > 1 else ()

    def _job(self, method, point, seed, kind):
        values = ", ".join(f"{name}={value}" for name, value in (point | {"seed": seed}).items())
        return Job(self.cell(method, point, seed), kind, f"{method.name}, {values}")

    def _validation(self, method, point):
        """Return the mean metrics on validation over the tuning seeds; nothing if one of them failed."""
        cells = [self.cell(method, point, seed) for seed in self._tuning_seeds]
        if any(self.fault(cell, "validation") for cell in cells):
            return {}
        return self._means([cell.validation for cell in cells])

    def _means(self, measured):
        """Return the means of headline metrics; nothing if none was measured."""
        names = [f"{task}_{name}" for task, name in self.headlines]
        return {name: float(np.mean([x[name] for x in measured])) for name in names} if measured else {}

    def _scores(self, table):
        """Return a number per row of metrics, of which more is better."""
        if not table:
            return {}
        ideal = {
            f"{task}_{name}": sign * max(sign * metrics[f"{task}_{name}"] for metrics in table.values())
            for (task, name), sign in self.headlines.items()
        }
        if all(ideal.values()):
            return {key: delta_m(metrics, ideal, self.tasks) for key, metrics in table.items()}
        return {key: -rank for key, rank in mean_rank(table, self.tasks).items()}


def _settled(task):
    """Return a task that names its headline metrics itself: to find them takes fresh metrics each time."""
    signs = headline_metrics(task)
    return dataclasses.replace(task, headline={name: "max" if signs[name] > 0 else "min" for name in signs})
