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
        self.variables = {id(v): v for v in [*self.trainer.variables, *optimizers]}.values()
        self.start = [np.array(variable) for variable in self.variables]

    def task(self, index, name):
        def loss(labels, predictions):
            return self.scales[index] * keras.losses.mean_squared_error(labels, predictions)

        def missing(labels):
            return tf.math.is_nan(labels)

        return mz.Task(name, (1,), (1,), 1, loss, keras.activations.linear, missing=missing)

    def run(self, a, b, label, steps=3):
        """Train from the start; the first step has the label. Return the number of skipped steps."""
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        self.scales.assign([a, b])
        skipped, self.reasons = 0, set()
        for step in range(steps):
            a = X[:, 0] * np.where(np.arange(8) == 2, label if step == 0 else 1.0, 1.0)
            logs = self.trainer.train_on_batch(X, {"a": a, "b": X[:, 1]}, return_dict=True)
            if logs["skipped_steps"]:
                skipped += 1
                self.reasons |= set(self.trainer.skipped.reasons())
        return skipped

    def bad(self):
        """Return the paths of the variables that hold NaN or infinity."""
        return [v.path for v in self.variables if not np.isfinite(np.asarray(v, "float64")).all()]


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
        assert not scales.bad(), f"scales and label {case}: {scales.bad()}"
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
        assert not scales.bad(), f"scales and label {case}: {scales.bad()}"


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
    assert scales.run(1.0, 1e25, 1.0) == 3
    assert scales.reasons == {reason}
    for variable, value in zip(scales.trainer.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_large_losses_whose_gradients_are_small_are_trained():
    """The gradient of a logarithm does not depend on the scale of the loss."""
    scales = Scales(balancer=mz.balancers.Logarithm)
    assert scales.run(1e30, 1e30, 1.0) == 0
