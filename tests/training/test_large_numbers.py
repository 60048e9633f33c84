"""Numbers that float32 holds, but whose squares it does not, reach neither weights nor any state."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests.harness import instance, methods

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
BALANCERS = methods(mz.balancers, mz.balancers.Balancer)
AGGREGATORS = methods(mz.aggregators, mz.aggregators.Aggregator)
OPTIMIZERS = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}
ALIKE = [(10.0**k, 10.0**k, 1.0) for k in [-45, *range(-43, 36, 3), 20, 22, 25, 30, 34, 35]]
MIXED = [(1.0, 1e30, 1.0), (1e30, 1e-30, 1.0), (1e-45, 1e35, 1.0), (1e19, 1.0, 1.0), (1e35, 1.0, 1.0)]
HUGE_LABEL = [(1.0, 1.0, 1e10), (1.0, 1.0, 1e18)]
CASES = [*ALIKE, *MIXED, *HUGE_LABEL]


class Scales:
    """Two regressions whose losses are multiplied by variables."""

    def __init__(self, balancer=None, aggregator=None, optimizer=None):
        keras.utils.set_random_seed(0)
        self.scales = tf.Variable([1.0, 1.0])
        tasks = [self.task(0, "a"), self.task(1, "b")]
        model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
        self.trainer = mz.Trainer(model, tasks, instance(balancer), instance(aggregator))
        self.trainer.compile(optimizer or keras.optimizers.Adam(1e-3))
        optimizers = [variable for found in self.trainer.optimizers for variable in found.variables]
        self.variables = list({id(v): v for v in [*self.trainer.variables, *optimizers]}.values())
        self.start = [np.array(variable) for variable in self.variables]
        self.train = tf.function(self._train, autograph=False)  # one call a case: Python would take the time

    def task(self, index, name):
        def loss(labels, predictions):
            return self.scales[index] * keras.losses.mean_squared_error(labels, predictions)

        def missing(labels):
            return tf.math.is_nan(labels)

        return mz.Task(name, (1,), (1,), 1, loss, keras.activations.linear, missing=missing)

    def run(self, a, b, label, steps=3):
        """Train from the start; the first step has the label. Return the number of skipped steps.

        Attributes tell the reasons to skip them, and the paths of variables that hold NaN or infinity.
        """
        first = X[:, 0] * np.where(np.arange(8) == 2, label, 1.0)
        good = self.train(tf.constant([a, b]), tf.constant(first, tf.float32), tf.constant(steps))
        self.bad = [v.path for v, finite in zip(self.variables, good.numpy(), strict=True) if not finite]
        skipped = int(self.trainer.skipped.result())
        self.reasons = set(self.trainer.skipped.reasons()) if skipped else set()
        return skipped

    def _train(self, scales, first, steps):
        self.restart()
        self.scales.assign(scales)

        def step(done):
            a = tf.where(done == 0, first, X[:, 0])
            self.trainer.train_step((tf.constant(X), {"a": a[:, None], "b": X[:, 1:2]}))
            return done + 1

        with tf.control_dependencies(tf.while_loop(lambda done: done < steps, step, [0])):
            values = [tf.cast(variable, "float64") for variable in self.variables]
        return tf.stack([tf.reduce_all(tf.math.is_finite(value)) for value in values])

    def restart(self):
        """Give all variables their first values."""
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        self.trainer.reset_metrics()

    def run_batches(self, a, b, steps=3):
        """Train from the start as `train_on_batch` does; return for each step the reasons to skip it."""
        self.restart()
        self.scales.assign([a, b])
        reasons = []
        for _ in range(steps):
            self.trainer.train_on_batch(X, {"a": X[:, 0], "b": X[:, 1]})
            reasons.append(set(self.trainer.skipped.reasons()))
        return reasons


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("balancer", "aggregator"),
    [*((cls, None) for cls in BALANCERS.values()), *((None, cls) for cls in AGGREGATORS.values())],
    ids=[*BALANCERS, *AGGREGATORS],
)
def test_every_method_under_every_scale(balancer, aggregator, optimizer):
    assert len(CASES) == 41
    scales = Scales(balancer, aggregator, OPTIMIZERS[optimizer](1e-3))
    for case in CASES:
        skipped = scales.run(*case)
        assert not scales.bad, f"scales and label {case}: {scales.bad}"
        if skipped:
            assert any("task" in reason for reason in scales.reasons), f"{case}: {scales.reasons}"


@pytest.mark.parametrize(
    "optimizer",
    [
        "Adadelta",
        "Adafactor",
        "Adagrad",
        "Adam",
        "AdamW",
        "Adamax",
        "Ftrl",
        "Lamb",
        "Lion",
        "Muon",
        "Nadam",
        "RMSprop",
        "SGD",
    ],
)
def test_every_optimizer(optimizer):
    scales = Scales(optimizer=getattr(keras.optimizers, optimizer)(1e-3))
    for case in [(1e17, 1.0, 1.0), (1e22, 1e22, 1.0), (1.0, 1e30, 1.0), (1e35, 1.0, 1.0), (1.0, 1.0, 1e18)]:
        scales.run(*case, steps=6)
        assert not scales.bad, f"scales and label {case}: {scales.bad}"


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ({}, "the gradient of task 'b'"),
        ({"balancer": mz.balancers.Uncertainty}, "the gradient of task 'b'"),
        ({"aggregator": mz.aggregators.PCGrad}, "the gradient of task 'b'"),
    ],
)
def test_a_skipped_step_names_its_task(methods, reason):
    scales = Scales(**methods)
    before = [np.array(variable) for variable in scales.trainer.model.variables]
    assert scales.run_batches(1.0, 1e25) == [{reason}] * 3
    for variable, value in zip(scales.trainer.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_large_losses_whose_gradients_are_small_are_trained():
    """The gradient of a logarithm does not depend on the scale of the loss."""
    scales = Scales(balancer=mz.balancers.Logarithm)
    assert scales.run(1e30, 1e30, 1.0) == 0
