"""Weights of losses on regressions of unequal scales: the toy problem of the GradNorm paper (section 4).

All tasks are equally hard but for their scales, as in `mtl_zoo.datasets.scaled_regression`: 1 and 100 for two
tasks; for other numbers, absolute values of normal numbers of deviation 50, drawn once. What counts is the
paper's task-normalized test loss, what is left of the first loss, here as the mean over tasks (the paper's
sum divided by their number). A seed draws tasks, examples and the network, the same for every method. Each
method gets the same learning rates to choose from, on validation with the first seed, and its best epoch by
validation in every run.

    python benchmarks/gradnorm_regression.py [--tasks=2,10] [--seeds=0,1,2] [--output=gradnorm_regression.png]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags
from matplotlib.figure import Figure

import mtl_zoo as mz

NUMBERS = flags.DEFINE_list("tasks", ["2", "10"], "Numbers of tasks, 2 or more.")
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds; the first chooses the learning rate.")
RATES = flags.DEFINE_list("learning_rates", ["1e-3", "3e-3", "1e-2"], "Learning rates to choose from.")
EPOCHS = flags.DEFINE_integer("epochs", 12, "Epochs.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 250, "Examples in a step.")
METHODS_FLAG = flags.DEFINE_list("methods", None, "Names of methods, of those in METHODS. Defaults to all.")
OUTPUT = flags.DEFINE_string("output", None, "File of the picture of the last number of tasks.")

DATA = mz.datasets.scaled_regression
METHODS = {
    "Equal": lambda scales: {"balancer": mz.balancers.Equal()},
    "Static, 1 ÷ variance": lambda scales: {"balancer": mz.balancers.Static([s**-2.0 for s in scales])},
    "Uncertainty": lambda scales: {"balancer": mz.balancers.Uncertainty()},
    "DWA": lambda scales: {"balancer": mz.balancers.DWA()},
    "FAMO": lambda scales: {"balancer": mz.balancers.FAMO()},
    "GradNorm": lambda scales: {"aggregator": mz.aggregators.GradNorm(alpha=0.12)},
}


class LossRatios(keras.callbacks.Callback):
    """Logs the mean over tasks of what is left of the first loss, of a split that is given.

    Args:
        data: Tuple `(inputs, labels)`.
        tasks: Sequence of tasks.
        name: Name of the split in the logs.
    """

    def __init__(self, data, tasks, name):
        super().__init__()
        self.data, self.tasks, self.name = data, tasks, name

    def on_train_begin(self, logs=None):
        self.first = self.losses()

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = np.mean(self.losses() / self.first)

    def losses(self):
        x, labels = self.data
        predictions = self.model.predict_on_batch(x)
        return np.array([np.mean((predictions[task.name] - labels[task.name]) ** 2) for task in self.tasks])


def make_scales(number):
    """Return `{task: scale}`."""
    if number == 2:
        return DATA.SCALES
    scales = np.abs(np.random.default_rng(0).normal(scale=50.0, size=number))
    return {f"task_{index}": float(scale) for index, scale in enumerate(scales)}


class Study:
    """Trains one method from several seeds, by one trainer that starts anew for each, so it is compiled once.

    Args:
        method: Key of `METHODS`.
        scales: Dictionary from the names of tasks to their scales.
    """

    def __init__(self, method, scales):
        self.scales = scales
        self.tasks = [mz.Task.regression(name, DATA.NUM_OUTPUTS) for name in scales]
        self.trainer = mz.Trainer(self.network(), self.tasks, **METHODS[method](scales.values()))
        self.trainer.compile(keras.optimizers.Adam(), steps_per_execution=20)
        self.trainer.optimizer.build(self.trainer.trainable_variables)
        self.start = [variable.numpy() for variable in self.variables]

    def network(self):
        return mz.architectures.hard_sharing(DATA.inputs(), self.tasks, DATA.encoder())

    @property
    def variables(self):
        return self.trainer.variables + self.trainer.optimizer.variables

    def run(self, seed, learning_rate):
        """Return the loss ratios of validation and test after every epoch, arrays `[epochs]`."""
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        keras.utils.set_random_seed(seed)
        self.trainer.model.set_weights(self.network().get_weights())
        self.trainer.optimizer.learning_rate = learning_rate
        train, *others = DATA.arrays(self.scales, seed).values()
        names = "validation", "test"
        ratios = [LossRatios(data, self.tasks, name) for data, name in zip(others, names, strict=True)]
        options = {"batch_size": BATCH_SIZE.value, "epochs": EPOCHS.value, "verbose": 0}
        history = self.trainer.fit(*train, callbacks=ratios, **options).history
        return tuple(np.array(history[name]) for name in names)

    def results(self):
        """Return the learning rate that was chosen and the curves of all seeds at it, as of `run`."""
        first, *others = map(int, SEEDS.value)
        tried = {rate: self.run(first, float(rate)) for rate in RATES.value}
        best = min(tried, key=lambda rate: np.nan_to_num(tried[rate][0], nan=np.inf).min())
        return best, [tried[best], *(self.run(seed, float(best)) for seed in others)]


def row(method, rate, curves):
    """Return a row of the table."""
    chosen = [test[np.nanargmin(validation)] for validation, test in curves]
    last = np.mean([test[-1] for _, test in curves])
    cells = [method, rate, f"{np.mean(chosen):.4f} ± {np.std(chosen, ddof=1):.4f}"]
    cells += [", ".join(f"{ratio:.4f}" for ratio in chosen), f"{last:.4f}"]
    return f"| {' | '.join(cells)} |"


def draw_picture(results, path):
    figure = Figure((5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for method, curves in results.items():
        mean = np.mean([test for _, test in curves], axis=0)
        axes.plot(np.arange(1, len(mean) + 1), mean, label=method)
    axes.set(xlabel="epoch", ylabel="test loss ÷ first test loss", ylim=(None, 1.05))
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main(argv):
    del argv
    for number in map(int, NUMBERS.value):
        print(f"\n{number} tasks: mean of test loss ÷ first test loss, mean ± standard deviation of seeds.\n")
        print("| method | learning rate | best epoch by validation | per seed | last epoch |")
        print("|---|---|---|---|---|", flush=True)
        results = {}
        for method in METHODS_FLAG.value or METHODS:
            rate, results[method] = Study(method, make_scales(number)).results()
            print(row(method, rate, results[method]), flush=True)
    if OUTPUT.value:
        draw_picture(results, OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
