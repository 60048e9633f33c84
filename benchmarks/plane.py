"""Two tasks in the plane, where the methods part: the toy problem of the CAGrad, Nash-MTL and FAMO papers.

Every deterministic method descends from five starts with Adam, all starts at once in one XLA program. Left
out are what is random (`Random`, `GradDrop`, `RLW`, and `COSMOS` without preferences), what needs sub-batches
(`MoDo`, `SDMGrad`, `NTKMTL`), epochs (`DWA`), three tasks (`Krum`), a primary task (`PCD`, `MetaBalance`),
scores (`PIVRG`), or chosen weights or preferences (`Constant`, `Static`, `PBI`), and the multiples of the sum
(`Mean`, `TrimmedMean`, `Equal`), whose path under Adam is that of `Sum`. The losses can be negative, down to
-20; methods that take logarithms or ratios of losses, marked with `+`, get them plus 20. That draws
logarithms to the ends of the Pareto set, where one loss is nearly 0; with 25 or more they go to the middle.

From (-8.5, 7.5) and (9, 9) a path slides along a pole of a logarithm, across which it jumps at every step. So
rounding decides where it leaves: moving the start by 1e-9 moves PCGrad's end by more than 1. The other starts
are smooth; from them float64 gives the expected ends, and float32 drifts along the Pareto set, where Adam
magnifies what rounding leaves of a direction that should be zero.

    python benchmarks/plane.py [--output=plane.png] [--steps=100000] [--methods=MGDA,CAGrad]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import math
import time

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import mtl_zoo as mz

OUTPUT = flags.DEFINE_string("output", None, "Where to write the picture; none by default.")
METHODS_FLAG = flags.DEFINE_list("methods", None, "Names of methods, of those in METHODS. Defaults to all.")
STEPS = flags.DEFINE_integer("steps", 100_000, "Steps from every start.")
INTERVAL = flags.DEFINE_integer("interval", 250, "Steps between recorded points.")
DTYPE = flags.DEFINE_enum("dtype", "float64", ["float32", "float64"], "Dtype of everything.")

LEARNING_RATE, DECAY_1, DECAY_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8  # of Adam
STARTS = np.array([(-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0)])
LIMIT = 7.0  # the Pareto set reaches from -LIMIT to LIMIT
TOLERANCE = 0.1
OFFSET = 20.0
COLORS = matplotlib.colormaps["Set1"].colors
START_STYLE = {"marker": "o", "markersize": 5, "markeredgecolor": "black", "zorder": 3}
END_STYLE = {"marker": "*", "markersize": 10, "markeredgecolor": "black", "markeredgewidth": 0.6, "zorder": 4}
PARETO_STYLE = {"color": "black", "linewidth": 3, "solid_capstyle": "butt"}
OFF_THE_SET = None  # expected to be stuck off the Pareto set
EXPECTED = {
    "Sum": (OFF_THE_SET, math.nan, OFF_THE_SET, math.nan, math.nan),
    "MGDA": (-3.64, 0.0, 3.51, -5.12, 6.81),
    "PCGrad": (-3.55, 0.0, 2.28, -2.48, 4.40),
    "CAGrad": (0.0, 0.0, 0.0, 0.0, 0.0),
    "NashMTL": (-2.90, 0.0, 2.91, -3.22, 4.80),
}
METHODS = {
    "Sum": mz.aggregators.Sum,
    "MGDA": mz.aggregators.MGDA,
    "PCGrad": lambda dtype: mz.aggregators.PCGrad(seed=0, dtype=dtype),
    "CAGrad": lambda dtype: mz.aggregators.CAGrad(c=0.4, dtype=dtype),
    "NashMTL": lambda dtype: mz.aggregators.NashMTL(max_norm=None, dtype=dtype),
    "FairGrad": lambda dtype: mz.aggregators.FairGrad(alpha=2.0, dtype=dtype),
    "IMTLG": mz.aggregators.IMTLG,
    "AlignedMTL": mz.aggregators.AlignedMTL,
    "ConFIG": mz.aggregators.ConFIG,
    "UPGrad": mz.aggregators.UPGrad,
    "DualProj": mz.aggregators.DualProj,
    "GradVac": lambda dtype: mz.aggregators.GradVac(seed=0, dtype=dtype),
    "CRMOGM": lambda dtype: mz.aggregators.CRMOGM(mz.aggregators.MGDA(dtype=dtype), dtype=dtype),
    "DBMTL": mz.aggregators.DBMTL,
    "ExcessMTL": mz.aggregators.ExcessMTL,
    "GradNorm+": mz.aggregators.GradNorm,
    "MoCo+": mz.aggregators.MoCo,
    "FAMO+": mz.balancers.FAMO,
    "Uncertainty+": mz.balancers.Uncertainty,
    "IMTLL+": mz.balancers.IMTLL,
    "Logarithm+": mz.balancers.Logarithm,
    "GeometricMean+": mz.balancers.GeometricMean,
    "DTP+": mz.balancers.DTP,
    "STCH+": mz.balancers.STCH,
}


def task_losses(points):
    """Return both losses.

    Args:
        points: Tensor `[..., 2]`.

    Returns:
        Tensor `[..., 2]`. Its gradient at the tie in a `max` is that of the first argument.
    """
    x1, x2 = points[..., 0], points[..., 1]
    tanh = tf.tanh(-x2)
    f1 = tf.math.log(_larger(tf.abs(0.5 * (-x1 - 7) - tanh), 5e-6)) + 6
    f2 = tf.math.log(_larger(tf.abs(0.5 * (-x1 + 3) + tanh + 2), 5e-6)) + 6
    c1, c2 = _larger(tf.tanh(0.5 * x2), 0.0), _larger(tf.tanh(-0.5 * x2), 0.0)
    q1 = ((-x1 + 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    q2 = ((-x1 - 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    return tf.stack([f1 * c1 + q1 * c2, f2 * c1 + q2 * c2], axis=-1)


def _larger(x, constant):
    return tf.where(x >= constant, x, tf.cast(constant, x.dtype))


def losses_and_jacobian(points):
    """Return the losses `[starts, tasks]` and the Jacobians `[starts, tasks, 2]`."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(points)
        first, second = tf.unstack(task_losses(points), axis=-1)
    rows = [tape.gradient(losses, points) for losses in (first, second)]  # starts do not depend on each other
    return tf.stack([first, second], axis=-1), tf.stack(rows, axis=1)


def adam(parameters, gradients, moments, step):
    """Return parameters and moments after a step of Adam.

    Args:
        parameters: List of tensors.
        gradients: List of tensors.
        moments: List of pairs of tensors.
        step: Number of this step, from 1.
    """
    step = tf.cast(step, parameters[0].dtype)
    fill_1, fill_2 = 1 - DECAY_1**step, 1 - DECAY_2**step
    new_parameters, new_moments = [], []
    for parameter, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
        first = DECAY_1 * first + (1 - DECAY_1) * gradient
        second = DECAY_2 * second + (1 - DECAY_2) * gradient**2
        change = LEARNING_RATE * (first / fill_1) / (tf.sqrt(second / fill_2) + EPSILON)
        new_parameters.append(parameter - change)
        new_moments.append((first, second))
    return new_parameters, new_moments


class Descent:
    """Descent of one method from many starts at once, each with a copy of the method's state.

    Args:
        name: Name of the method, a key of `METHODS`.
        starts: Array `[starts, 2]`.
        dtype: Dtype of everything. Defaults to `"float64"`.
    """

    def __init__(self, name, starts, dtype="float64"):
        self.method = METHODS[name](dtype=dtype)
        self.is_balancer = isinstance(self.method, mz.balancers.Balancer)
        self.offset = OFFSET if name.endswith("+") else 0.0
        self.method.build((2,) if self.is_balancer else (2, 2))
        self.learned = self.method.trainable_variables
        self.state = self.method.non_trainable_variables
        self.method.built = True
        copies = len(starts)
        parameters = [tf.constant(starts, dtype), *(_copies(x, copies) for x in self.learned)]
        moments = [(tf.zeros_like(x), tf.zeros_like(x)) for x in parameters]
        self.values = parameters, moments, [_copies(x, copies) for x in self.state], tf.constant(0)

    @property
    def points(self):
        """The points reached, an array `[starts, 2]`."""
        return self.values[0][0].numpy()

    def run(self, steps):
        """Go on by a number of steps."""
        self.values = self._run(self.values, tf.constant(steps))

    @tf.function(jit_compile=True)
    def _run(self, values, steps):
        end = values[-1] + steps
        return tf.while_loop(lambda *values: values[-1] < end, self._step, values)

    def _step(self, parameters, moments, state, step):
        losses, jacobian = losses_and_jacobian(parameters[0])
        losses = losses + self.offset
        gradients, state = _each(self._gradients, losses, jacobian, parameters[1:], state)
        parameters, moments = adam(parameters, gradients, moments, step + 1)
        if self.is_balancer and self.method.second_look:
            losses = task_losses(parameters[0]) + self.offset
            state = _each(self._look, losses, parameters[1:], state)
        return parameters, moments, state, step + 1

    def _gradients(self, losses, jacobian, learned, state):
        """Return the gradients of the point and of what the method learns, and its new state, for a start."""
        with self._scope(learned, state) as scope, tf.GradientTape() as tape:
            tape.watch([losses, *learned])
            result = self.method(losses) if self.is_balancer else self.method(jacobian, losses)
        if not self.is_balancer:
            return [result], self._new_state(scope)
        weights, *rest = tape.gradient(result, [losses, *learned])
        return [tf.linalg.matvec(jacobian, weights, transpose_a=True), *rest], self._new_state(scope)

    def _look(self, losses, learned, state):
        """Return the new state after the second look of a balancer, for a start."""
        with self._scope(learned, state) as scope:
            self.method.look(losses)
        return self._new_state(scope)

    def _scope(self, learned, state):
        return keras.StatelessScope(zip([*self.learned, *self.state], [*learned, *state], strict=True))

    def _new_state(self, scope):
        return [tf.convert_to_tensor(scope.get_current_value(x)) for x in self.state]


def _each(function, *inputs):
    """Return the stacked results of a function for every entry along the first axis of all inputs."""
    parts = zip(*(tf.unstack(x) for x in tf.nest.flatten(inputs)), strict=True)
    results = [function(*tf.nest.pack_sequence_as(inputs, part)) for part in parts]
    return tf.nest.map_structure(lambda *x: tf.stack(x), *results)


def _copies(variable, number):
    return tf.stack(number * [tf.convert_to_tensor(variable)])


def trajectories(name, starts=STARTS, steps=100_000, interval=250, dtype="float64"):
    """Return the path of a method from every start.

    Args:
        name: Name of the method, a key of `METHODS`.
        starts: Array `[starts, 2]`.
        steps: Number of steps.
        interval: Number of steps between points of the path.
        dtype: Dtype of everything. Defaults to `"float64"`.

    Returns:
        Array `[points, starts, 2]`, from the starts to the end points.
    """
    descent = Descent(name, starts, dtype)
    path = [descent.points]
    for done in range(0, steps, interval):
        descent.run(min(interval, steps - done))
        path.append(descent.points)
    return np.stack(path)


def table(end_points):
    """Return a Markdown table of the end points `{name: array [starts, 2]}` beside the expected ones."""
    header = [f"({x1:g}, {x2:g})" for x1, x2 in STARTS]
    lines = [_row(["method", *header, "largest difference"]), "|---" * (len(STARTS) + 2) + "|"]
    for name, points in end_points.items():
        expected = EXPECTED.get(name, len(STARTS) * [math.nan])
        cells = [_cell(*point, x1) for point, x1 in zip(points, expected, strict=True)]
        lines.append(_row([name, *cells, _difference(points, expected)]))
    return "\n".join(lines)


def _row(cells):
    return f"| {' | '.join(cells)} |"


def _cell(x1, x2, expected):
    """Return where a path ended: `x1`, the expected one, and `x2` if that is off the Pareto set."""
    text = f"{x1:z.2f}" if is_on_the_set(x1, x2) else f"**({x1:z.2f}, {x2:.2f})**"
    if expected is OFF_THE_SET:
        return f"{text} [off]"
    return text if math.isnan(expected) else f"{text} [{expected:z.2f}]"


def _difference(points, expected):
    numbers = [x is not OFF_THE_SET and not math.isnan(x) for x in expected]
    found = [
        abs(point[0] - x) for point, x, is_number in zip(points, expected, numbers, strict=True) if is_number
    ]
    return f"{max(found):.2f}" if found else ""


def is_on_the_set(x1, x2):
    """Return whether a point is on the Pareto set, to `TOLERANCE`."""
    return abs(x1) < LIMIT + TOLERANCE and abs(x2 - pareto_x2(x1)) < TOLERANCE


def pareto_x2(x1):
    """Return the second coordinate of the Pareto set, where the gradients are opposite."""
    x2 = np.full_like(x1, -8.4)
    for _ in range(40):  # a contraction: `slope` is small
        value = np.tanh(-0.5 * x2)
        slope = -0.5 * (1 - value**2)
        q1, q2 = (((-x1 + side * 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20 for side in (1, -1))
        x2 = -8 - 50 / 14 * slope / value * ((7 - x1) * q2 + (7 + x1) * q1)
    return x2


def picture(paths, columns=6):
    """Draw the paths `{name: array [points, starts, 2]}` over the sum of the losses, a panel per method."""
    columns = min(columns, len(paths))
    rows = math.ceil(len(paths) / columns)
    figure = Figure((2.5 * columns + 0.3, 2.6 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(paths) :]:
        axes.set_visible(False)
    for axes, (name, path) in zip(panels.flat, paths.items(), strict=False):
        _draw_landscape(axes)
        _draw_paths(axes, path)
        axes.set_title(name, fontsize=10, pad=4)
    figure.supxlabel("$x_1$", fontsize=10)
    figure.supylabel("$x_2$", fontsize=10)
    figure.legend(handles=_handles(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _draw_landscape(axes):
    side = np.linspace(-10, 10, 161)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    total = task_losses(tf.constant(grid)).numpy().sum(axis=-1)
    levels = np.quantile(total, np.linspace(0, 1, 25))  # so the shallow upper half shows as well
    shades = matplotlib.colormaps["Greys_r"](np.linspace(0.45, 1, len(levels) - 1))
    axes.contourf(*np.moveaxis(grid, -1, 0), total, levels=levels, colors=shades, antialiased=False)
    x1 = np.linspace(-LIMIT, LIMIT, 50)
    axes.plot(x1, pareto_x2(x1), **PARETO_STYLE)
    axes.set(
        xlim=(-10, 10), ylim=(-10, 10), xticks=(-8, -4, 0, 4, 8), yticks=(-8, -4, 0, 4, 8), aspect="equal"
    )
    axes.tick_params(labelsize=7, length=2)


def _draw_paths(axes, path):
    for index, color in enumerate(COLORS[: path.shape[1]]):
        axes.plot(*path[:, index].T, color=color, linewidth=1.5)
        axes.plot(*path[0, index], color=color, **START_STYLE)
        axes.plot(*path[-1, index], color=color, **END_STYLE)


def _handles():
    gray = {"color": "gray", "linestyle": "none"}
    return [
        Line2D([], [], label="start", **gray, **START_STYLE),
        Line2D([], [], label="end", **gray, **END_STYLE),
        Line2D([], [], label="Pareto set", **PARETO_STYLE),
        Line2D([], [], label="sum of losses: darker is lower", **gray, marker="s"),
    ]


def main(argv):
    del argv
    start = time.perf_counter()
    paths = {
        name: trajectories(name, steps=STEPS.value, interval=INTERVAL.value, dtype=DTYPE.value)
        for name in METHODS_FLAG.value or METHODS
    }
    seconds = time.perf_counter() - start
    print(
        f"x1 after {STEPS.value} steps in {DTYPE.value} [expected after 100000]; bold: (x1, x2), where that"
    )
    print(f"is off the Pareto set. All methods took {seconds:.0f} s, with compilation.\n")
    print(table({name: path[-1] for name, path in paths.items()}))
    if OUTPUT.value:
        picture(paths).savefig(OUTPUT.value, dpi=130)


if __name__ == "__main__":
    app.run(main)
