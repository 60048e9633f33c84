"""Time of a training step and of its solver: TorchJD against the trainer, on the same networks.

Both frameworks run in turns in one process, row by row, so that a ratio holds while the machine's speed
drifts. Figures are those of the fastest round, when other processes left the machine alone; beside their
ratio stands the median of the ratios within a round. A step is all that an update takes: forward pass, T
losses, gradients, aggregator, Adam. Rounds last a second, since an epoch of `fit` takes up to 0.1 s to start.

* Ours is a step of `Trainer.fit` with its input pipeline, logs and (unless `--nometrics`) the accuracy of
  every task; its graph is compiled by TensorFlow or by XLA.
* TorchJD's is a bare eager loop with fused Adam, parameters named in advance, no metrics, and a batch that is
  ready. It has the best of `parallel_chunk_size` None (all tasks in one vmapped pass) or 1 (task by task),
  `optimize_gramian_computation` False or True, and, in shared space, `autogram` (the Gramian without the
  Jacobian, then one weighted backward pass). `torch.compile` is left out: it needs a C++ toolchain, and
  `torch.vmap` does not work on what it compiles.
* Only variants within a quarter of the best are measured in rounds; beyond two tasks, the first method finds
  them for all the others.
* PyTorch's threads spin while they wait for each other, which costs them a lot where other processes take a
  part of the cores. They spin for less long here (`GOMP_SPINCOUNT`), which costs little on an idle one.

Shared space is `mtl_backward` on the trunk's parameters. For representation space TorchJD has no name; what
is measured is its own functions put together for it: `mtl_backward` on the detached features, `jac_to_grad`
on these, and one backward pass of the trunk. With the sum, there is one ordinary backward pass in both.

The learning rate is so small that every step meets the same problem. In the second table, solvers get the
Gramian of conflicting gradients (`ms, weights`), aggregators the Jacobian of `--parameters` numbers per task.

    pip install torch==2.13.0 torchjd[full]
    python benchmarks/peers.py [--networks=mlp] [--tasks=2,10] [--methods=MGDA,NashMTL] [--rounds=7]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import dataclasses
import itertools
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
import torch
from absl import app, flags
from torchjd import aggregation, autogram, autojac

import mtl_zoo as mz

TASKS = flags.DEFINE_list("tasks", ["2", "10", "40"], "Numbers of tasks.")
NETWORKS = flags.DEFINE_list("networks", ["mlp", "convnet"], "Networks, of those in NETS.")
METHODS = flags.DEFINE_list("methods", ["UPGrad", "MGDA", "PCGrad", "CAGrad", "AlignedMTL"], "Methods.")
SPACES = flags.DEFINE_list("spaces", ["shared", "representation"], "Spaces; none: only solvers.")
SOLVERS = flags.DEFINE_bool("solvers", True, "Whether to time solvers alone.")
ROUNDS = flags.DEFINE_integer("rounds", 15, "Timed rounds of every row.")
SECONDS = flags.DEFINE_float("seconds", 1, "Least time of one row of one framework in a round.")
METRICS = flags.DEFINE_bool("metrics", True, "Whether the trainer keeps the accuracy of every task.")
LIMIT = flags.DEFINE_float("limit", 60, "Seconds after which a table ends, if it has had 3 rounds.")
BATCH = flags.DEFINE_integer("batch_size", 256, "Examples in a step.")
PARAMETERS = flags.DEFINE_integer("parameters", 500_000, "Parameters of the second table's Jacobian.")

LEARNING_RATE = 1e-9
CLASSES = 10
AUTOGRAM = "autogram"
VARIANTS = {
    "TorchJD": [AUTOGRAM, *itertools.product((None, 1), (False, True))],  # chunk size, optimized Gramian
    "mtl_zoo": ["graph", "XLA"],
}


def mlp():
    layers = [(torch.nn.Linear(*sizes), torch.nn.ReLU()) for sizes in ((256, 512), (512, 512), (512, 256))]
    return torch.nn.Sequential(*itertools.chain(*layers))


def convnet():
    layers = []
    for channels, filters in ((3, 32), (32, 64)):
        convolution = torch.nn.Conv2d(channels, filters, 3, padding="same")
        layers += [convolution, torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(3136, 128), torch.nn.ReLU())


NETS = {  # shape, encoder, the same trunk in PyTorch, its number of features
    "mlp": ((256,), mz.encoders.mlp(512, 512, 256), mlp, 256),
    "convnet": ((28, 28, 3), [*mz.encoders.convnet(32, 64), *mz.encoders.mlp(128)], convnet, 128),
}


def their_aggregator(name, num_tasks):
    arguments = {"CAGrad": {"c": 0.5}, "NashMTL": {"n_tasks": num_tasks}}
    return getattr(aggregation, name)(**arguments.get(name, {}))


def make_batch(network, num_tasks):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(BATCH.value, *NETS[network][0])).astype("float32")
    return inputs, rng.integers(0, CLASSES, (num_tasks, BATCH.value))


def trainer(network, num_tasks, method, space, compiler):
    """Return a function that trains some steps and returns seconds."""
    shape, encoder, _, _ = NETS[network]
    tasks = [mz.Task.classification(f"task_{index}", CLASSES) for index in range(num_tasks)]
    tasks = tasks if METRICS.value else [dataclasses.replace(task, metrics=()) for task in tasks]
    inputs, labels = make_batch(network, num_tasks)
    batch = (inputs, {task.name: label for task, label in zip(tasks, labels, strict=True)})
    data = tf.data.Dataset.from_tensors(batch).cache().repeat()
    aggregator = method and getattr(mz.aggregators, method)()
    model = mz.architectures.hard_sharing(keras.Input(shape), tasks, encoder)
    result = mz.Trainer(model, tasks, aggregator=aggregator, space=space)
    result.compile(keras.optimizers.Adam(LEARNING_RATE), jit_compile=compiler == "XLA")

    def run(steps):
        timer = EpochTimer()
        result.fit(data, steps_per_epoch=steps, verbose=0, callbacks=[timer], shuffle=False)
        return timer.seconds

    return run


class EpochTimer(keras.callbacks.Callback):
    """Keeps the seconds of the last epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start


class TorchNetwork:
    """The same network, batch and initial distribution in PyTorch."""

    def __init__(self, network, num_tasks):
        _, _, trunk, features = NETS[network]
        self.trunk = trunk()
        self.heads = [torch.nn.Linear(features, CLASSES) for _ in range(num_tasks)]
        self.shared = list(self.trunk.parameters())
        self.tasks = [list(head.parameters()) for head in self.heads]
        for parameter in (*self.shared, *itertools.chain(*self.tasks)):
            initialize = torch.nn.init.xavier_uniform_ if parameter.ndim > 1 else torch.nn.init.zeros_
            initialize(parameter)
        inputs, labels = make_batch(network, num_tasks)
        inputs = inputs if inputs.ndim == 2 else inputs.transpose(0, 3, 1, 2).copy()
        self.inputs, self.labels = torch.tensor(inputs), torch.tensor(labels)

    def losses(self, features):
        pairs = zip(self.heads, self.labels, strict=True)
        return [torch.nn.functional.cross_entropy(head(features), label) for head, label in pairs]


def torch_step(network, num_tasks, method, space, variant):
    """Return a function that takes some steps and returns seconds."""
    net = TorchNetwork(network, num_tasks)
    parameters = [*net.shared, *itertools.chain(*net.tasks)]
    optimizer = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)
    aggregator = method and their_aggregator(method, num_tasks)
    engine = autogram.Engine(net.trunk, batch_dim=None) if variant == AUTOGRAM else None

    def step():
        optimizer.zero_grad()
        features = net.trunk(net.inputs)
        if method is None:
            sum(net.losses(features)).backward()
        elif engine is not None:
            aggregate_by_gramian(net, features, engine, aggregator)
        elif space == "shared":
            aggregate(net, features, net.shared, aggregator, *variant)
        else:
            cut = features.detach().requires_grad_()
            aggregate(net, cut, [cut], aggregator, *variant)
            features.backward(cut.grad)
        optimizer.step()

    return call_timer(step)


def aggregate(net, features, shared, aggregator, chunk_size, optimized):
    """Give the parameters of the heads their gradient, and those in `shared` the aggregated one."""
    optimized = optimized and isinstance(aggregator, aggregation.GramianWeightedAggregator)
    autojac.mtl_backward(
        net.losses(features),
        features,
        shared_params=shared,
        tasks_params=net.tasks,
        parallel_chunk_size=chunk_size,
    )
    autojac.jac_to_grad(shared, aggregator, optimize_gramian_computation=optimized)


def aggregate_by_gramian(net, features, engine, aggregator):
    """Do what `aggregate` does, without a Jacobian of the trunk's parameters."""
    losses = torch.stack(net.losses(features))
    weights = aggregator.gramian_weighting(engine.compute_gramian(losses))
    of_heads = list(itertools.chain(*net.tasks))
    torch.autograd.backward(losses.sum(), inputs=of_heads, retain_graph=True)
    torch.autograd.backward(losses, weights, inputs=net.shared)


def call_timer(function):
    """Return a function that calls `function` some times and returns seconds."""

    def run(steps):
        start = time.perf_counter()
        for _ in range(steps):
            result = function()
        if isinstance(result, tf.Tensor):
            result.numpy()
        return time.perf_counter() - start

    return run


MAKERS = {"TorchJD": torch_step, "mtl_zoo": trainer}


def finalists(candidates):
    """Warm up, and return the timers within a quarter of the best, with the calls that fill `SECONDS`."""
    times = {}
    for name, run in candidates.items():
        run(1)
        times[name] = run(1)
        for _ in range(3 if times[name] < SECONDS.value else 1):
            steps = calls(times[name])
            times[name] = min(times[name], run(steps) / steps)
    best = min(times.values())
    return {name: (candidates[name], calls(times[name])) for name in times if times[name] <= 1.25 * best}


def calls(seconds):
    return max(1, round(SECONDS.value / seconds))


def measure(rows):
    """Run all rows in turns.

    Args:
        rows: Dict by row of dicts by framework of what `finalists` returns.

    Returns:
        Dict by row of pairs: by framework the least ms and the name of the best variant; the median ratio of
        TorchJD's by ours.
    """
    rounds, end = [], time.perf_counter() + LIMIT.value
    while len(rounds) < min(3, ROUNDS.value) or (len(rounds) < ROUNDS.value and time.perf_counter() < end):
        rounds.append({row: one_round(frameworks) for row, frameworks in rows.items()})
    return {row: summary([times[row] for times in rounds]) for row in rows}


def one_round(frameworks):
    return {
        framework: {name: milliseconds(run, steps) for name, (run, steps) in timers.items()}
        for framework, timers in frameworks.items()
    }


def milliseconds(run, steps):
    """Return ms per step; where it is short, after one step not counted, in which threads come and go."""
    if steps > 1:
        run(1)
    return 1000 * run(steps) / steps


def summary(rounds):
    best = {}
    for framework in MAKERS:
        least = {name: min(r[framework][name] for r in rounds) for name in rounds[0][framework]}
        name = min(least, key=least.get)
        best[framework] = least[name], name
    theirs, ours = ([r[framework][best[framework][1]] for r in rounds] for framework in MAKERS)
    return best, statistics.median(t / o for t, o in zip(theirs, ours, strict=True))


def step_rows(network, num_tasks):
    """Return what `measure` takes; variants are chosen on the first method of each space."""
    rows = {"sum": {f: choose(f, network, num_tasks, None, "shared", VARIANTS[f][-2:]) for f in MAKERS}}
    rows["sum"]["TorchJD"] = dict(list(rows["sum"]["TorchJD"].items())[:1])
    for space in SPACES.value:
        chosen = VARIANTS
        for method in METHODS.value:
            row = {f: choose(f, network, num_tasks, method, space, chosen[f]) for f in MAKERS}
            rows[f"{method}, {space}"] = row
            if num_tasks > 2:
                chosen = {framework: list(timers) for framework, timers in row.items()}
    return rows


def choose(framework, network, num_tasks, method, space, variants):
    make = MAKERS[framework]
    if not has_gramian(method, space):
        variants = [v for v in variants if v != AUTOGRAM] or VARIANTS[framework][1:]
    return finalists({variant: make(network, num_tasks, method, space, variant) for variant in variants})


def has_gramian(method, space):
    aggregator = method and their_aggregator(method, 2)
    return space == "shared" and isinstance(aggregator, aggregation.GramianWeightedAggregator)


def print_table(title, rows):
    results = measure(rows)
    print(f"\n{title}; load {os.getloadavg()[0]:.1f}\n")
    print("| row | TorchJD, ms | mtl_zoo, ms | TorchJD ÷ mtl_zoo | median ÷ | variants |")
    print("|---|---|---|---|---|---|")
    for row, (best, ratio) in results.items():
        (theirs, their_variant), (ours, our_variant) = best["TorchJD"], best["mtl_zoo"]
        variants = our_variant if row == "sum" else f"{describe(their_variant)}; {our_variant}"
        print(
            f"| {row} | {theirs:.3g} | {ours:.3g} | {theirs / ours:.2f} | {ratio:.2f} | {variants} |",
            flush=True,
        )


def describe(variant):
    if not isinstance(variant, tuple):
        return variant
    return f"chunk {variant[0]}{', Gramian by blocks' if variant[1] else ''}"


def solver_rows(num_tasks):
    rng = np.random.default_rng(num_tasks)
    small = [rng.normal(size=(num_tasks, 2 * num_tasks)).astype("float32") for _ in range(8)]
    large = [rng.normal(size=(num_tasks, PARAMETERS.value)).astype("float32")]
    rows = {}
    for method in METHODS.value:
        rows[f"{method}, weights"] = {
            "TorchJD": finalists({"eager": their_solver(method, small)}),
            "mtl_zoo": finalists({c: our_solver(method, small, c) for c in VARIANTS["mtl_zoo"]}),
        }
        rows[f"{method}, direction"] = {
            "TorchJD": finalists({"eager": their_direction(method, large)}),
            "mtl_zoo": finalists({c: our_direction(method, large, c) for c in VARIANTS["mtl_zoo"]}),
        }
    return rows


def their_solver(method, jacobians):
    """Time the weights of Gramians, or, where TorchJD has no such function, of the small Jacobians."""
    aggregator = their_aggregator(method, len(jacobians[0]))
    tensors = [torch.tensor(jacobian) for jacobian in jacobians]
    if isinstance(aggregator, aggregation.GramianWeightedAggregator):
        return cycle_timer(aggregator.gramian_weighting, [tensor @ tensor.T for tensor in tensors])
    return cycle_timer(aggregator, tensors)


def their_direction(method, jacobians):
    return cycle_timer(their_aggregator(method, len(jacobians[0])), [torch.tensor(j) for j in jacobians])


def our_solver(method, jacobians, compiler):
    aggregator = getattr(mz.aggregators, method)()
    aggregator.build((len(jacobians[0]), None))
    function = tf.function(aggregator.compute_weights, jit_compile=compiler == "XLA", autograph=False)
    gramians = [tf.constant(jacobian @ jacobian.T) for jacobian in jacobians]
    return cycle_timer(lambda gramian: function(gramian, None, None), gramians)


def our_direction(method, jacobians, compiler):
    aggregator = getattr(mz.aggregators, method)()
    aggregator.build((len(jacobians[0]), None))
    function = tf.function(aggregator, jit_compile=compiler == "XLA", autograph=False)
    return cycle_timer(function, [tf.constant(jacobian) for jacobian in jacobians])


def cycle_timer(function, arguments):
    arguments = itertools.cycle(arguments)
    return call_timer(lambda: function(next(arguments)))


def main(argv):
    del argv
    torch.set_num_threads(os.cpu_count())
    for network, num_tasks in itertools.product(NETWORKS.value if SPACES.value else (), TASKS.value):
        print_table(f"{network}, {num_tasks} tasks, step", step_rows(network, int(num_tasks)))
        keras.backend.clear_session()
    for num_tasks in TASKS.value if SOLVERS.value else ():
        print_table(f"{num_tasks} tasks, solver alone", solver_rows(int(num_tasks)))


if __name__ == "__main__":
    app.run(main)
