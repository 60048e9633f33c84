import math

import keras
import numpy as np
import pytest
from keras.optimizers.schedules import CosineDecay

from mtl_zoo.experiments.schedule import Warmup, make_schedule
from mtl_zoo.options import SCHEDULES

STEPS, WARMUP, RATE = 100, 20, 0.5


def expected(name, step, warmup):
    """The learning rate in plain Python."""
    if step < warmup:
        return RATE * step / warmup
    part = (step - warmup) / (STEPS - warmup)
    return (
        RATE
        * {
            "constant": 1.0,
            "cosine": (1 + math.cos(math.pi * part)) / 2,
            "exponential": 0.01**part,
        }[name]
    )


@pytest.mark.parametrize("warmup", [0, WARMUP])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name, warmup):
    rate = make_schedule(name, RATE, warmup, STEPS)
    steps = [0, 1, 10, 19, 20, 21, 60, 99, 100]
    found = [float(rate(step) if callable(rate) else rate) for step in steps]
    np.testing.assert_allclose(found, [expected(name, step, warmup) for step in steps], rtol=1e-5, atol=1e-8)


def test_a_constant_rate_stays_a_number():
    assert make_schedule("constant", RATE) == RATE


def test_warmup_before_a_cosine_is_that_of_keras():
    keras_own = CosineDecay(0.0, STEPS - WARMUP, warmup_target=RATE, warmup_steps=WARMUP)
    ours = make_schedule("cosine", RATE, WARMUP, STEPS)
    steps = range(0, STEPS + 5, 3)
    np.testing.assert_allclose(
        [float(ours(k)) for k in steps], [float(keras_own(k)) for k in steps], rtol=1e-5
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_optimizers_follow_it_and_keep_it(name):
    optimizer = keras.optimizers.SGD(make_schedule(name, RATE, 2, 10))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for sgd in (optimizer, again):
        x = keras.Variable(0.0)
        sgd.build([x])
        moved = []
        for _ in range(6):
            before = float(x)
            sgd.apply([keras.ops.convert_to_tensor(1.0)], [x])
            moved.append(before - float(x))
        rates = [float(make_schedule(name, RATE, 2, 10)(step)) for step in range(6)]
        np.testing.assert_allclose(moved, rates, rtol=1e-5, atol=1e-7)
    assert isinstance(again._learning_rate, Warmup)


def test_what_cannot_be_is_refused():
    with pytest.raises(
        ValueError, match=r"must be below the number of all steps, 100\. Received: warmup_steps=100"
    ):
        make_schedule("constant", RATE, 100, STEPS)
    with pytest.raises(ValueError, match=r"must be 'constant' where .* Received: schedule='cosine'"):
        make_schedule("cosine", RATE)
    assert float(make_schedule("constant", RATE, 4)(2)) == RATE / 2
