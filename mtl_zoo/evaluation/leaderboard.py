"""The leaderboard of a study: what was measured, how sure it is, and what follows, in words."""

import dataclasses
import statistics

from mtl_zoo import files
from mtl_zoo.evaluation.comparisons import comparisons, verdict
from mtl_zoo.evaluation.intervals import interval

LEADERBOARD = "leaderboard.md"
ARROWS = {1: "↑", -1: "↓"}
NOTHING = "-"


@dataclasses.dataclass
class Leaderboard:
    """The numbers of a study's methods.

    Args:
        study: `Study`.

    Attributes:
        deltas: Dictionary from names of methods to δm by seed.
        comparisons: Dictionary from names of methods to their `Comparison`.
        undefined: Why δm is not defined; empty if it is.
    """

    study: object

    def __post_init__(self):
        study, self.undefined, self.deltas = self.study, "", {}
        self.ranks = study.ranks()
        for method in study.methods:
            try:
                self.deltas[method.name] = study.deltas(method)
            except ValueError as error:
                self.deltas[method.name], self.undefined = {}, str(error)
        found = comparisons(study.methods, study.reference, lambda method: self.deltas[method.name])
        self.comparisons = {comparison.method.name: comparison for comparison in found}

    @property
    def methods(self):
        """The methods that have results, best mean δm first, then best rank."""
        known = [method for method in self.study.methods if method.name in self.ranks]
        return sorted(known, key=lambda method: (-self._delta(method)[0], self.ranks[method.name]))

    def intervals(self):
        """Return a dictionary from names of methods to δm and its bounds, where it is defined."""
        return {
            method.name: interval(list(self.deltas[method.name].values()))
            for method in self.methods
            if self.deltas[method.name]
        }

    def rows(self):
        """Return the table as lists of strings, the titles first."""
        headlines = {f"{task} {name}": sign for (task, name), sign in self.study.headlines.items()}
        titles = [f"{name.replace('_', ' ')} {ARROWS[sign]}" for name, sign in headlines.items()]
        tuned = [name.replace("_", " ") for name in self.study.grid.tuned]
        last = ["seeds", "s/epoch", "parameters", "peak MB"]
        titles = ["method", *titles, "δm %", "against equal", "mean rank", *tuned, *last]
        return [titles, *map(self._row, self.methods)]

    def verdict(self):
        """Return what follows, as lines of Markdown."""
        if self.undefined:
            return [f"δm is not defined: {self.undefined}"]
        return verdict(list(self.comparisons.values()))

    def _row(self, method):
        study = self.study
        means, cells = study.means(method), study.tested(method)
        point = study.chosen(method)
        return [
            method.name,
            *(f"{means[f'{task}_{name}']:.4g}" for task, name in study.headlines),
            with_bounds(*self._delta(method)) if self.deltas[method.name] else NOTHING,
            self._against_equal(method),
            f"{self.ranks[method.name]:.2f}",
            *(f"{value:g}" if isinstance(value, float) else str(value) for value in point.values()),
            f"{len(cells)} of {len(study.grid.seeds)}",
            *_costs(cells.values()),
        ]

    def _delta(self, method):
        values = list(self.deltas[method.name].values())
        return (0.0, None, None) if method.is_single or not values else interval(values)

    def _against_equal(self, method):
        if method.is_equal or method.name not in self.comparisons:
            return NOTHING
        found = self.comparisons[method.name]
        return with_bounds(found.difference, found.low, found.high) + ("*" if found.is_beyond_chance else "")


def write_leaderboard(leaderboard, probe):
    """Write the page.

    Args:
        leaderboard: `Leaderboard`.
        probe: What the data say before any method is tried: lines of Markdown.
    """
    study = leaderboard.study
    lines = ["# Do you need a balancer?", "", *probe, "", f"# Leaderboard of {_dataset(study)}", ""]
    lines += [*_table(leaderboard.rows()), "", _legend(study), *_edges(study), ""]
    lines += ["# What is larger than chance", "", *leaderboard.verdict(), ""]
    lines += ["![δm](delta_m.png)", "", "![Trade-off](trade_off.png)"]
    if failures := study.failures():
        lines += ["", "# Left out", "", *(f"- {label}: {reason}" for label, reason in failures.items())]
    with files.replaced(study.path / LEADERBOARD) as partial:
        partial.write_text("\n".join(lines) + "\n", "utf-8")


def with_bounds(mean, low, high):
    """Return a number with its interval, if there is one.

    Example:

    >>> with_bounds(1.5, 0.5, 2.5), with_bounds(1.5, None, None)
    ('+1.50 (+0.50 to +2.50)', '+1.50')
    """
    return f"{mean:+.2f}" if low is None else f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def _costs(cells):
    """Return seconds per epoch, parameters and peak memory of the trainings of a method."""
    seconds = statistics.median(cell.run.metrics["seconds_per_epoch"] for cell in cells)
    known = [cell.about["peak_memory"] for cell in cells if cell.about["peak_memory"] is not None]
    parameters = max(cell.about["parameters"] for cell in cells)
    return f"{seconds:.2f}", f"{parameters:,}", f"{max(known):.0f}" if known else NOTHING


def _table(rows):
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    titles, *rest = ["| " + " | ".join(row) + " |" for row in rows]
    return [titles, "|" + " --- |" * len(rows[0]), *rest]


def _dataset(study):
    return study.methods[0].recipe.dataset.partition(":")[0]


def _edges(study):
    """Yield a line for every tuned number of which methods chose the largest or the smallest."""
    chosen = [point for point in map(study.chosen, study.methods) if point]
    for name, values in study.grid.tuned.items():
        if len(values) == 1 or not {*map(type, values)} <= {int, float}:
            continue
        edges = {"largest": max(values), "smallest": min(values)}
        counts = {word: sum(point[name] == value for point in chosen) for word, value in edges.items()}
        if any(counts.values()):
            found = [f"{counts[word]} chose the {word} tried, {value:g}" for word, value in edges.items()]
            tried = f"{name.replace('_', ' ').capitalize()}: of {len(chosen)} methods {', '.join(found)}."
            yield f"\n{tried} With others beyond it the order may change."


def _legend(study):
    grid = study.grid
    tuned = " and ".join(grid.tuned).replace("_", " ")
    seeds = [", ".join(map(str, seeds)) for seeds in (grid.seeds, grid.seeds[: grid.tuning_seeds])]
    bounds = "in brackets 95% intervals by Student's t" if len(grid.seeds) > 1 else "one seed: no intervals"
    chosen = f"All methods have the same {tuned}."
    if len(grid.points) > 1:
        chosen = (
            f"For every method the same {len(grid.points)} values of {tuned} were tried (seed {seeds[1]}), "
            "and the best on validation was chosen."
        )
    return (
        f"Means over seeds {seeds[0]} on the test split, which was read once for each; {bounds}. {chosen} "
        "δm: mean improvement over single-task models of the same seed, in percent; positive is better. "
        "Against equal: the difference in δm to equal weighting of the same architecture, paired by seed; "
        "with * if it is larger than chance. Peak MB: of the process, all libraries included."
    )
