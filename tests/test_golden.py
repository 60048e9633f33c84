"""Reference answers in float64, computed outside this library."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests.harness import assert_close, value_and_gradient

FILE = pathlib.Path(__file__).parents[2] / "shared" / "golden" / "balancing.json"
GOLDEN = json.loads(FILE.read_text()) if FILE.exists() else {}
FREE = {"FairGrad": {"max_norm": None}}  # what the references do without
MODES = {"eager": lambda function: function, "xla": lambda function: tf.function(function, jit_compile=True)}
pytestmark = pytest.mark.skipif(not GOLDEN, reason=f"no reference answers at {FILE}")


def parameters(section, package, once=False):
    """Return pytest parameters `(method, case, expected)` of the methods that exist in a package.

    With `once`, only the last case of each method and arguments.
    """
    found = {}
    for index, case in enumerate(GOLDEN.get(section, [])):
        for expected in case.get("expected", [case]):
            name = expected.get("aggregator", expected.get("balancer"))
            arguments = ",".join(f"{key}={value}" for key, value in expected["args"].items())
            label = f"{name}({arguments})" if once else f"{index}-{name}({arguments})"
            if hasattr(package, name):
                method = getattr(package, name)
                found[label] = pytest.param(method, case, expected, id=label)
    return list(found.values())


def run_matrix(cls, case, expected, mode):
    aggregator = cls(**FREE.get(cls.__name__, {}), **expected["args"])
    jacobian = tf.constant(case["jacobian"], "float32")
    aggregator.build(jacobian.shape)
    tolerance = 1e-3 if case["family"] == "scaled" else 1e-4
    direction = MODES[mode](aggregator)(jacobian)
    assert_close(direction, expected["direction"], f"{case['family']} {jacobian.shape}", tolerance)


@pytest.mark.parametrize(("cls", "case", "expected"), parameters("matrices", mz.aggregators))
def test_direction(cls, case, expected):
    run_matrix(cls, case, expected, "eager")


@pytest.mark.parametrize(("cls", "case", "expected"), parameters("matrices", mz.aggregators, once=True))
def test_direction_with_xla(cls, case, expected):
    run_matrix(cls, case, expected, "xla")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("cls", "case", "expected"), parameters("gradient_sequences", mz.aggregators, once=True)
)
def test_directions_of_stateful_aggregator(cls, case, expected, mode):
    aggregator = cls(**expected["args"])
    jacobians = tf.constant(case["jacobians"], "float32")
    aggregator.build(jacobians[0].shape)
    step = MODES[mode](aggregator)
    for index, direction in enumerate(expected["directions"]):
        losses = tf.constant(case["losses"][index], "float32")
        assert_close(step(jacobians[index], losses), direction, f"step {index}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("cls", "case", "expected"), parameters("losses", mz.balancers))
def test_value_and_gradient(cls, case, expected, mode):
    balancer = cls(**expected["args"])
    balancer.build((len(case["losses"]),))
    step = MODES[mode](lambda losses: value_and_gradient(balancer, losses))
    value, gradient = step(tf.constant(case["losses"], "float32"))
    assert_close(value, expected["value"], "value")
    assert_close(gradient, expected["gradient"], "gradient")


@pytest.mark.parametrize(
    ("cls", "case", "expected"),
    [p for p in parameters("loss_sequences", mz.balancers) if "weights" in p.values[1]],
)
def test_weights_in_every_epoch(cls, case, expected):
    balancer = cls(**expected["args"])
    for losses, weights in zip(case["epoch_losses"], expected["weights"], strict=False):
        value, gradient = value_and_gradient(balancer, losses)
        assert_close(gradient, weights, "weights")
        assert_close(value, np.dot(weights, losses), "value")
        balancer.on_epoch_end()
    assert_close(balancer.task_weights, expected["weights"][-1], "weights after the last epoch")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("cls", "case", "expected"),
    [p for p in parameters("loss_sequences", mz.balancers) if "losses_after" in p.values[1]],
)
def test_values_of_balancer_that_looks_twice(cls, case, expected, mode):
    balancer = cls(**expected["args"])
    balancer.build((len(case["losses_before"][0]),))
    step = MODES[mode](lambda losses: value_and_gradient(balancer, losses))
    look = MODES[mode](balancer.look)
    for index, (before, after) in enumerate(zip(case["losses_before"], case["losses_after"], strict=True)):
        value, gradient = step(tf.constant(before, "float32"))
        assert_close(value, expected["values"][index], f"value of step {index}", scale=1.0)
        assert_close(gradient, expected["gradients"][index], f"gradient of step {index}")
        look(tf.constant(after, "float32"))
