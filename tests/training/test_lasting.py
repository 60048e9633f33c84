import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.training import lasting, step
from tests.harness import instance

A = mz.aggregators
TASKS = (mz.Task.classification("a", 3), mz.Task.regression("b"), mz.Task.binary("c"))
SIZE, EVERY = 10, 3


def data(batches=5):
    """Return inputs and labels; in the second batch the first task comes in, some labels are missing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SIZE * batches, 4)).astype("float32")
    a, b = x[:, :3].argmax(axis=1), np.where(rng.random(len(x)) < 0.3, np.nan, 3 * x[:, 0])
    a[:SIZE] = -1
    return x, {"a": a, "b": b.astype("float32"), "c": (x[:, 1] > 0).astype("int64")}


def batches(number=5):
    """Return the batches of these data, one by one."""
    x, y = data(number)
    parts = [slice(start, start + SIZE) for start in range(0, len(x), SIZE)]
    return [(x[part], {name: values[part] for name, values in y.items()}) for part in parts]


def make_trainer(method, space="shared", every=EVERY, run_eagerly=False, jit_compile=False, **options):
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(keras.Input((4,)), TASKS, mz.encoders.mlp(6))
    trainer = mz.Trainer(model, TASKS, aggregator=method, space=space, refresh_every=every, **options)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=run_eagerly, jit_compile=jit_compile)
    return trainer


def trained(trainer):
    """Return the logs of some steps and the weights after them."""
    history = trainer.fit(*data(), batch_size=SIZE // trainer.accumulate, verbose=0, shuffle=False).history
    return history, trainer.get_weights()


def assert_same(found, expected):
    for name, values in expected[0].items():
        np.testing.assert_allclose(found[0][name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    for value, other in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-5)


CASES = {
    "shared": (A.MGDA, {}),
    "representation": (A.NashMTL, {"space": "representation"}),
    "weights of losses, shortened": (lambda: A.NashMTL(max_norm=0.1), {}),
    "shortened at the cut": (lambda: A.FairGrad(max_norm=0.1), {"space": "representation"}),
    "learned weights": (A.GradNorm, {}),
    "portions": (A.MGDA, {"accumulate": 2}),
    "portions in representation": (A.MGDA, {"accumulate": 2, "space": "representation"}),
    "portions and a balancer": (A.MGDA, {"accumulate": 2, "balancer": mz.balancers.Uncertainty}),
    "a balancer that learns": (A.UPGrad, {"balancer": mz.balancers.Uncertainty}),
}


@pytest.mark.parametrize("case", CASES)
def test_one_pass_makes_the_update_of_many(case):
    """Without a graph, T passes are made in every step."""
    method, options = CASES[case]
    found = []
    for run_eagerly in (False, True):
        given = {name: x() if callable(x) else x for name, x in options.items()}
        found.append(trained(make_trainer(method(), run_eagerly=run_eagerly, **given)))
    assert_same(*found)


def test_compiled_by_xla():
    found = [trained(make_trainer(A.MGDA(), jit_compile=jit)) for jit in (True, False)]
    assert_same(*found)


@pytest.mark.parametrize("space", ["shared", "representation"])
def test_between_renewals_steps_are_those_of_constant_weights(space):
    trainer = make_trainer(A.MGDA(), space)
    _, first, *others = batches(4)
    trainer.train_on_batch(*first)
    weights = np.array(trainer.aggregator.task_weights)
    plain = make_trainer(A.Constant([max(w, 1e-12) for w in weights.tolist()]), space, every=1)
    plain.model.set_weights(trainer.model.get_weights())
    for batch in others:
        for each in (trainer, plain):
            each.train_on_batch(*batch)
        np.testing.assert_array_equal(trainer.aggregator.task_weights, weights)
        for value, other in zip(trainer.model.get_weights(), plain.model.get_weights(), strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)


def test_weights_of_losses_weigh_heads_between_renewals():
    """Nash-MTL's weights are those of the losses: the same as a balancer's."""
    trainer = make_trainer(A.NashMTL(max_norm=None))
    _, first, second = batches(3)
    trainer.train_on_batch(*first)
    static = mz.balancers.Static(np.array(trainer.aggregator.loss_weights).tolist())
    plain = make_trainer(None, every=1, balancer=static)
    plain.model.set_weights(trainer.model.get_weights())
    for each in (trainer, plain):
        each.train_on_batch(*second)
    for value, other in zip(trainer.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-5)


def test_resumed_between_renewals(tmp_path):
    whole, first, second = (make_trainer(A.PCGrad(seed=1)) for _ in range(3))
    *early, late, last = batches()
    for batch in early:
        whole.train_on_batch(*batch)
        first.train_on_batch(*batch)
    first.save_weights(tmp_path / "some.weights.h5")
    second.load_weights(tmp_path / "some.weights.h5")
    for batch in (late, last):
        whole.train_on_batch(*batch)
        second.train_on_batch(*batch)
    for value, other in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("before", [0, 1])
def test_a_step_that_is_not_finite_counts_for_nothing(before):
    _, (x, y) = batches(2)
    trainer = make_trainer(A.MGDA())
    for _ in range(before):
        trainer.train_on_batch(x, y)
    state = [np.array(v) for v in (*trainer.refresh.variables, *trainer.model.variables)]
    logs = trainer.train_on_batch(np.where(x == x[0, 0], np.inf, x), y, return_dict=True)
    assert logs["skipped_steps"] == 1
    for value, other in zip(state, (*trainer.refresh.variables, *trainer.model.variables), strict=True):
        np.testing.assert_array_equal(other, value)


def test_without_it_steps_are_as_they_were(monkeypatch):
    trainer = make_trainer(A.MGDA(), every=1)
    assert trainer.refresh is None
    assert trainer.problem.aggregator is trainer.aggregator
    seen = []
    monkeypatch.setattr(step, "compute", lambda *given: seen.append(given))
    lasting.compute(trainer.problem, None)
    assert seen == [(trainer.problem, None, 1.0)]


def test_the_option_is_saved():
    trainer = make_trainer(instance(A.MGDA), every=4)
    assert mz.Trainer.from_config(trainer.get_config()).refresh.every == 4
