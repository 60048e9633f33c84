"""Time of an aggregator by itself: what a method adds to a step beyond the gradients of the tasks.

One call on a Jacobian of one block, for several numbers of tasks, against what no method by inner products
can do without: the Gramian and one weighted sum of the rows. The gradients are correlated and differ in
length. Methods that want sub-batches get as many Jacobians. All run in turns in one process; the figures are
medians over the rounds. The last column is the time of a first call with XLA, less that of a later one:
tracing and compilation.

    python benchmarks/solvers.py [--tasks=2,5,10,40] [--parameters=100000] [--rounds=7] [--calls=10]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

import mtl_zoo as mz
from mtl_zoo.aggregators.base import inner_products
from mtl_zoo.experiments.choices import FAMILIES

TASKS = flags.DEFINE_list("tasks", ["2", "5", "10", "40"], "Numbers of tasks.")
PARAMETERS = flags.DEFINE_integer("parameters", 100_000, "Number of parameters.")
COMPILERS = flags.DEFINE_list("compilers", ["graph", "xla"], "How calls are compiled.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Timed rounds of every method.")
CALLS = flags.DEFINE_integer("calls", 10, "Calls in a round.")
COMPILED_TASKS = flags.DEFINE_integer(
    "compiled_tasks", 10, "Number of tasks at which XLA's compilation counts."
)

BOUND = "bound: Gramian and sum"
WITH_ARGUMENTS = {
    "Constant": lambda num_tasks: mz.aggregators.Constant(num_tasks * [1.0]),
    "CRMOGM": lambda num_tasks: mz.aggregators.CRMOGM(mz.aggregators.MGDA()),
}


def aggregators(num_tasks):
    """Return one aggregator of every class by name."""
    members = FAMILIES["aggregator"].members().values()
    classes = sorted((x for x in members if isinstance(x, type)), key=lambda x: x.__name__.lower())
    return {x.__name__: WITH_ARGUMENTS.get(x.__name__, lambda _, x=x: x())(num_tasks) for x in classes}


def make_jacobian(num_tasks, parameters):
    """Return gradients `[tasks, parameters]` that are correlated, partly conflict, and differ in length."""
    rng = np.random.default_rng(0)
    mixture = rng.normal(size=(num_tasks, num_tasks)) * np.exp(rng.normal(size=(num_tasks, 1)))
    return tf.constant(mixture @ rng.normal(size=(num_tasks, parameters)), "float32")


def bound(jacobian, losses):
    """Return the Gramian, and the rows weighted by the losses, which are no less work than weights."""
    return inner_products(jacobian), tf.linalg.matvec(jacobian, losses, transpose_a=True)


def timer(function, arguments, jit_compile):
    """Return a function that makes a number of calls and returns milliseconds per call."""
    compiled = tf.function(function, jit_compile=jit_compile)

    def run(calls):
        start = time.perf_counter()
        for _ in range(calls):
            result = compiled(*arguments)
        tf.nest.map_structure(lambda tensor: tensor.numpy(), result)
        return 1000 * (time.perf_counter() - start) / calls

    return run


def arguments_of(aggregator, jacobian, losses):
    """Return the arguments of a call, with one Jacobian per sub-batch where the method wants several."""
    parts = getattr(aggregator, "sub_batches", 1)
    return (tf.stack(parts * [jacobian]) if parts > 1 else jacobian), losses


def measure(num_tasks, compiler):
    """Return the median milliseconds of a call and the milliseconds of the first, by method."""
    jacobian = make_jacobian(num_tasks, PARAMETERS.value)
    losses = tf.constant(np.random.default_rng(1).uniform(0.5, 1.5, num_tasks), "float32")
    functions = {BOUND: bound, **aggregators(num_tasks)}
    timers = {}
    for name, function in functions.items():
        arguments = arguments_of(function, jacobian, losses)
        if function is not bound:
            function.build(tuple(arguments[0].shape))
        timers[name] = timer(function, arguments, compiler == "xla")
    first = {name: run(1) for name, run in timers.items()}
    rounds = [{name: run(CALLS.value) for name, run in timers.items()} for _ in range(ROUNDS.value)]
    return {name: statistics.median(times[name] for times in rounds) for name in timers}, first


def table(columns, compilation):
    """Return a Markdown table of `{(tasks, compiler): {name: milliseconds}}` and `{name: seconds}`."""
    header = ["method", *(f"{tasks}, {compiler}" for tasks, compiler in columns), "compilation, s"]
    lines = [_row(header), "|---" * len(header) + "|"]
    for name in next(iter(columns.values())):
        cells = [f"{times[name]:.2f}" for times in columns.values()]
        lines.append(_row([name, *cells, f"{compilation[name]:.1f}" if name in compilation else ""]))
    return "\n".join(lines)


def _row(cells):
    return f"| {' | '.join(cells)} |"


def main(argv):
    del argv
    columns, compilation = {}, {}
    for compiler in COMPILERS.value:
        for num_tasks in map(int, TASKS.value):
            times, first = measure(num_tasks, compiler)
            columns[num_tasks, compiler] = times
            if compiler == "xla" and num_tasks == COMPILED_TASKS.value:
                compilation = {name: (first[name] - times[name]) / 1000 for name in times}
    print(f"Milliseconds per call at {PARAMETERS.value} parameters, by number of tasks and compiler\n")
    print(table(columns, compilation))


if __name__ == "__main__":
    app.run(main)
