"""Methods compared fairly: the same tuning for all, the test split once, and how sure the result is."""

import dataclasses

from mtl_zoo import arguments, files, plots
from mtl_zoo.evaluation.cells import Job, Workers
from mtl_zoo.evaluation.grid import EQUAL, SINGLE, Grid, methods_of
from mtl_zoo.evaluation.hypervolume import pareto_front
from mtl_zoo.evaluation.leaderboard import Leaderboard, write_leaderboard
from mtl_zoo.evaluation.probe import Probe
from mtl_zoo.evaluation.progress import Progress
from mtl_zoo.evaluation.recipes import write_recipes
from mtl_zoo.evaluation.results import write_results
from mtl_zoo.evaluation.study import Study

LEARNING_RATES = (3e-4, 1e-3, 3e-3)
SEEDS = (0, 1, 2)
MOST_WORKERS = 1_000


def compare(
    recipes,
    run_dir,
    learning_rates=LEARNING_RATES,
    seeds=SEEDS,
    tuning_seeds=1,
    tuned=None,
    workers=1,
    baselines=True,
    trade_off=None,
    quiet=False,
):
    """Compare methods: tune each alike, train each with all seeds, measure each once on the test split.

    A method is a recipe up to its tuned fields and its seed. Of every method, equal weighting and single-task
    models included, all tuned values are tried with the first seeds, and the best on validation is chosen:
    the one nearest to the best of its headline metrics, as `Study.chosen` tells. Then all seeds are trained
    with it. A training is a cell, in a process of its own: what ends one leaves the others alone, and a cell
    that failed is left out, reported, and tried again when the study is started again. So started, it
    repeats no finished cell, goes on with interrupted ones, and writes the same tables, but for times and
    memory.

    It writes `results.csv` (a row per training and task), `leaderboard.md` (what the data say of balancing,
    the table of the methods, and which differences are larger than chance), `delta_m.png`, `trade_off.png`,
    `probe.png`, a recipe per method in `recipes/`, and the runs in `cells/`.

    Args:
        recipes: Sequence of `experiments.Recipe`, one per method, of the same data and tasks.
        run_dir: Directory to write, which may hold an earlier study.
        learning_rates: Values to choose from. Defaults to 0.0003, 0.001 and 0.003.
        seeds: Seeds of the trainings. Defaults to 0, 1 and 2. With one there are no intervals.
        tuning_seeds: Number of seeds, the first ones, that values are chosen with. Defaults to 1.
        tuned: Dictionary of further fields of a recipe to values to choose from, such as
            `{"batch_size": (64, 256)}`; all combinations are tried. Defaults to none.
        workers: Number of processes at once, which share the processors. Defaults to 1.
        baselines: Whether single-task models, which δm is relative to, and equal weighting of each
            architecture, which methods are paired with, are added where they are not there. Defaults to
            `True`.
        trade_off: Names of the two metrics of `trade_off.png` in the logs, such as `"left_accuracy"`, among
            the headline metrics. Defaults to the first ones of the first two tasks.
        quiet: Whether to hide progress. Defaults to `False`.

    Returns:
        `Leaderboard`.

    Raises:
        ValueError: If something that was chosen is not right, another process is at work in the directory, or
            no training ended well.
        OSError: If a place cannot be written.
        KeyboardInterrupt: If it was interrupted; started again, it goes on.

    Reference:
        [Xin et al., 2022](https://arxiv.org/abs/2209.11379); [Kurin et al.,
        2022](https://arxiv.org/abs/2201.04122)
    """
    rates = arguments.numbers("learning_rates", learning_rates, above=0)
    tuned = {"learning_rate": rates} | arguments.mapping("tuned", tuned)
    grid = Grid(tuned, arguments.integers("seeds", seeds, 0, arguments.SEED), tuning_seeds)
    methods = methods_of(recipes, grid, arguments.flag("baselines", baselines))
    study = Study(arguments.path("run_dir", run_dir), methods, grid)
    axes = _axes(study, trade_off)
    pool = Workers(arguments.integer("workers", workers, 1, MOST_WORKERS))
    quiet = arguments.flag("quiet", quiet)
    with files.reserved(study.path), files.locked(study.path):
        _run(study, pool, quiet)
        return _report(study, axes)


def _run(study, workers, quiet):
    """Do all jobs of a study: those that tune, those that test, and the probe."""
    numbers = (len(study.tuning()), len(study.methods) * len(study.grid.seeds), 1)
    progress = Progress(sum(numbers), quiet)
    phases = (study.tuning, study.testing, lambda: _probes(study))
    for number, phase in zip(numbers, phases, strict=True):
        jobs = [job for job in phase() if not job.is_done]
        progress.skip(number - len(jobs))
        workers.do(jobs, progress)


def _probes(study):
    """Return the job that looks at the data: equal weighting of the first architecture that shares."""
    for method in study.methods:
        equal = dataclasses.replace(method, recipe=dataclasses.replace(method.recipe, **EQUAL))
        if method.recipe.architecture != SINGLE["architecture"]:
            point = study.chosen(equal) or study.grid.points[0]
            return [Job(study.cell(equal, point, study.grid.seeds[0]), "probe", "gradients of the tasks")]
    return []


def _report(study, axes):
    """Write the tables and the pictures; return the leaderboard."""
    leaderboard = Leaderboard(study)
    if not leaderboard.methods:
        failures = [f"{label}: {reason}" for label, reason in study.failures().items()]
        raise ValueError(f"At least one training must end well. Received: {failures[0]}")
    write_results(study)
    write_recipes(study)
    write_leaderboard(leaderboard, _probed(study))
    if intervals := leaderboard.intervals():
        _save(plots.delta_m(intervals), study.path / "delta_m.png")
    if axes:
        _save(_trade_off(leaderboard, axes), study.path / "trade_off.png")
    return leaderboard


def _probed(study):
    """Return what the probe found, as lines of Markdown."""
    for job in _probes(study):
        if not job.is_done:
            return [f"The gradients of the tasks could not be measured: {job.cell.failure}"]
        probe = Probe.from_config(job.cell.probe)
        _save(probe.plot(), study.path / "probe.png")
        return [probe.text(), "", "![Gradients of the tasks](probe.png)"]
    return ["Single-task models share nothing that needs balancing."]


def _axes(study, names):
    """Return the two metrics of the picture as a dictionary from names to signs; `None` if there is one."""
    known = {f"{task}_{name}": sign for (task, name), sign in study.headlines.items()}
    if names is None:
        first = dict(reversed(study.headlines))
        names = [f"{task.name}_{first[task.name]}" for task in study.tasks[:2]]
        names = names if len(names) == 2 else list(known)[:2]
    elif len(arguments.texts("trade_off", names)) != 2 or not {*names} <= {*known}:
        raise ValueError(f"`trade_off` must name two of {', '.join(known)}. Received: trade_off={names!r}")
    return {name: known[name] for name in names} if len(names) == 2 else None


def _trade_off(leaderboard, axes):
    means = {method.name: leaderboard.study.means(method) for method in leaderboard.methods}
    points = {name: tuple(found[axis] for axis in axes) for name, found in means.items()}
    title, best = None, []
    try:
        front = pareto_front(list(points.values()), list(axes.values()))
        best = [name for name, is_best in zip(points, front, strict=True) if is_best]
    except ImportError:
        title = "Without its front, which needs: pip install 'mtl-zoo[evaluation]'"
    return plots.trade_off(points, best, tuple(axes), tuple(axes.values()), title)


def _save(figure, path):
    with files.replaced(path) as partial:
        figure.savefig(partial, dpi=150)
