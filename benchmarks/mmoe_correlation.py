"""Shared-bottom against experts as two tasks grow less correlated (Ma et al., 2018, sections 3.3 and 5.1).

The tasks are those of `mtl_zoo.datasets.correlated_regression`, and the networks the paper's: a shared layer
of 16 units (its figure 3) or of 113, 8 experts of 16 units with one gate for both tasks or one for each
(figure 4), and a tower of 8 units per task. Every step has new examples, so nothing is learned by heart;
`--examples=20000` draws the examples of all steps from so many instead. All runs of a network are trained at
once, by `tf.vectorized_map` over their variables. A seed draws the tasks' weights and phases and the network,
the same for every correlation; all runs see the same inputs.

    python benchmarks/mmoe_correlation.py [--seeds=20] [--examples=20000] [--output=mmoe_correlation.png]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure

import mtl_zoo as mz

CORRELATIONS = flags.DEFINE_list("correlations", ["0.5", "0.9", "1.0"], "Cosines of the tasks' weights.")
NETWORKS = flags.DEFINE_list("networks", None, "Networks, of those in BUILDERS. Defaults to all.")
SEEDS = flags.DEFINE_integer("seeds", 20, "Number of seeds.")
TUNING_SEEDS = flags.DEFINE_integer("tuning_seeds", 3, "More seeds, which choose the learning rate.")
RATES = flags.DEFINE_list("learning_rates", ["1e-4", "1e-3", "1e-2"], "Learning rates to choose from.")
STEPS = flags.DEFINE_integer("steps", 2000, "Steps.")
POINTS = flags.DEFINE_integer("points", 5, "How often the test loss is taken; it divides the steps.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Examples in a step.")
EXAMPLES = flags.DEFINE_integer("examples", 0, "Number of training examples; 0 for new ones in every step.")
OUTPUT = flags.DEFINE_string("output", None, "File of the picture.")

DATA = mz.datasets.correlated_regression
TASKS = DATA.TASKS
TEST_SIZE = 5_000


def tower(x, task):
    """Return a task's tower of 8 units and its output."""
    x = keras.layers.Dense(8, activation="relu", name=f"{task.name}_tower")(x)
    return mz.heads.head(x, task)


def shared_bottom(units):
    return mz.architectures.hard_sharing(DATA.inputs(), TASKS, mz.encoders.mlp(units), tower)


def one_gate():
    """Return experts mixed by one gate, which are those of `mmoe` for one task, and a tower per task."""
    mixed = mz.Task.regression("mixed", 16)
    experts = mz.architectures.mmoe(
        DATA.inputs(), [mixed], mz.encoders.mlp(16), lambda x, task: x, num_experts=8
    )
    features = experts.output["mixed"]
    return keras.Model(experts.input, {task.name: tower(features, task) for task in TASKS})


def gate_per_task():
    return mz.architectures.mmoe(DATA.inputs(), TASKS, mz.encoders.mlp(16), tower, num_experts=8)


BUILDERS = {
    "shared_bottom_16": lambda: shared_bottom(16),
    "shared_bottom_113": lambda: shared_bottom(113),
    "omoe": one_gate,
    "mmoe": gate_per_task,
}


class Runs:
    """Independent runs of a network, each on tasks of its own, in one program.

    Args:
        build: Function that returns the network.
        seeds: Sequence of S seeds.
        correlations: Sequence of C correlations; every seed runs with each, S C runs.
    """

    def __init__(self, build, seeds, correlations):
        self.model = build()
        self.shape = len(seeds), len(correlations)
        tasks = [DATA.parameters(correlation, seed) for seed in seeds for correlation in correlations]
        self.weights, self.phases = (np.stack(part).astype("float32") for part in zip(*tasks, strict=True))
        weights = [part for seed in seeds for part in len(correlations) * [initial_weights(build, seed)]]
        self.variables = [keras.Variable(np.stack(parts)) for parts in zip(*weights, strict=True)]
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(self.variables)
        self.start = [x.numpy() for x in self.variables + self.optimizer.variables]
        self.random = tf.random.Generator.from_seed(seeds[0])
        self.inputs = self.random.normal((EXAMPLES.value, DATA.NUM_INPUTS))
        self.labels = self.label(self.inputs)
        self.test = self.random.normal((TEST_SIZE, DATA.NUM_INPUTS))
        self.test_labels = self.label(self.test)

    def label(self, x):
        """Return the labels `[runs, examples, tasks]` of inputs `[examples, 100]`, with noise."""
        linear = tf.einsum("bi,rit->rbt", x, self.weights)
        factors = tf.range(1.0, DATA.NUM_SINES + 1)
        waves = tf.sin(factors * linear[..., None] + self.phases[:, None, None, :])
        return linear + tf.reduce_sum(waves, -1) + DATA.NOISE * self.random.normal(tf.shape(linear))

    @tf.function
    def losses(self, x, labels):
        """Return the squared errors `[runs]`, means over examples and tasks."""

        def predict(variables):
            outputs, _ = self.model.stateless_call(variables, [], x)
            return tf.concat([outputs[task.name] for task in TASKS], axis=-1)

        predictions = tf.vectorized_map(predict, [x.value for x in self.variables])
        return tf.reduce_mean((predictions - labels) ** 2, axis=(1, 2))

    def batch(self):
        if not EXAMPLES.value:
            x = self.random.normal((BATCH_SIZE.value, DATA.NUM_INPUTS))
            return x, self.label(x)
        rows = self.random.uniform((BATCH_SIZE.value,), 0, EXAMPLES.value, tf.int32)
        return tf.gather(self.inputs, rows), tf.gather(self.labels, rows, axis=1)

    @tf.function
    def train(self, steps):
        for _ in tf.range(steps):
            x, labels = self.batch()
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(self.losses(x, labels))  # runs share no variable
            gradients = tape.gradient(loss, [x.value for x in self.variables])
            self.optimizer.apply(gradients, self.variables)

    def curves(self, learning_rate, points):
        """Train from the start; return test losses over the variance, `[points, seeds, correlations]`."""
        for variable, value in zip(self.variables + self.optimizer.variables, self.start, strict=True):
            variable.assign(value)
        self.optimizer.learning_rate = learning_rate
        variance = np.var(self.test_labels, axis=(1, 2))
        found = []
        for _ in range(points):
            self.train(tf.constant(STEPS.value // points))
            found.append(self.losses(self.test, self.test_labels) / variance)
        return np.reshape(found, (points, *self.shape))


def initial_weights(build, seed):
    keras.utils.set_random_seed(seed)
    return build().get_weights()


def label_correlation(correlation):
    """Return the Pearson correlation of the tasks' labels, the mean over seeds (the paper's figure 2)."""
    draws = [DATA.arrays(correlation, seed)["validation"][1] for seed in range(SEEDS.value)]
    return np.mean([np.corrcoef(labels["first"], labels["second"])[0, 1] for labels in draws])


def best_rates(build, correlations, rates):
    """Return the index of the best learning rate per correlation."""
    tuning = Runs(build, range(SEEDS.value, SEEDS.value + TUNING_SEEDS.value), correlations)
    return np.mean([tuning.curves(rate, 1)[0] for rate in rates], axis=1).argmin(axis=0)


def study(build):
    """Return the learning rate of each correlation and the curves at it, `[points, seeds, correlations]`."""
    correlations = [float(x) for x in CORRELATIONS.value]
    rates = [float(x) for x in RATES.value]
    best = best_rates(build, correlations, rates) if len(rates) > 1 else len(correlations) * [0]
    runs = Runs(build, range(SEEDS.value), correlations)
    curves = {index: runs.curves(rates[index], POINTS.value) for index in set(best)}
    chosen = [curves[index][..., column] for column, index in enumerate(best)]
    return [RATES.value[index] for index in best], np.stack(chosen, axis=-1)


def cell(values):
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.4f}"


def row(name, rates, last):
    """Return a row of the table of losses `[seeds, correlations]`."""
    cells = [cell(losses) for losses in last.T]
    growth = cell(last[:, 0] - last[:, -1])
    return f"| {name} | {' | '.join(cells)} | {growth} | {', '.join(rates)} |"


def draw_picture(results, path):
    """Draw the mean curves, a panel per correlation."""
    figure = Figure((9, 3.2), layout="constrained")
    steps = STEPS.value / POINTS.value * np.arange(1, POINTS.value + 1)
    panels = figure.subplots(1, len(CORRELATIONS.value), sharey=True, squeeze=False)[0]
    for index, (axes, correlation) in enumerate(zip(panels, CORRELATIONS.value, strict=True)):
        for name, curves in results.items():
            axes.plot(steps, curves[..., index].mean(axis=1), label=name)
        axes.set(title=f"correlation {correlation}", xlabel="step", yscale="log")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("test loss ÷ variance")
    panels[-1].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main(argv):
    del argv
    source = f"of {EXAMPLES.value:,}" if EXAMPLES.value else "never seen before"
    print(f"Test loss ÷ variance after {STEPS.value} steps of {BATCH_SIZE.value} examples {source}, mean ±")
    print(f"standard error of {SEEDS.value} seeds; the difference is of the outer correlations.\n")
    found = [f"{label_correlation(float(x)):.2f} at {x}" for x in CORRELATIONS.value]
    print(f"Correlation of the labels: {', '.join(found)}.\n")
    header = ["network", *CORRELATIONS.value, "difference, seed by seed", "learning rates"]
    print(f"| {' | '.join(header)} |\n{'|---' * len(header)}|", flush=True)
    results = {}
    for name in NETWORKS.value or BUILDERS:
        rates, results[name] = study(BUILDERS[name])
        print(row(name, rates, results[name][-1]), flush=True)
    if OUTPUT.value:
        draw_picture(results, OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
