import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests.harness import assert_close

MODES = {
    "eager": lambda function: function,
    "graph": tf.function,
    "xla": lambda function: tf.function(function, jit_compile=True),
}


class Recorder(mz.aggregators.Sum):
    """Sum that remembers what it was given."""

    def call(self, jacobian, losses=None, present=None):
        self.given = jacobian, losses, present
        return super().call(jacobian, losses, present)


class PartsRecorder(Recorder):
    """Sum of the first part's gradients, that remembers what it was given."""

    sub_batches = 3

    def call(self, jacobian, losses=None, present=None):
        super().call(jacobian, losses, present)
        return [tf.reduce_sum(block[0], axis=0) for block in jacobian]


class Problem:
    """Two losses of a shared vector, a variable of each task, and one that no task reaches.

    first = sum(a * shared) * own1, second = (b @ shared)² + own2², a = (1, 2), b = (-3, 1);
    at shared = (1, 1), own1 = 3, own2 = 0.5 the derivatives by `shared` are (3, 6) and (12, -4).
    """

    rows = np.array([[3.0, 6.0], [12.0, -4.0]])
    values = (9.0, 4.25)

    def __init__(self):
        self.shared = tf.Variable([1.0, 1.0])
        self.first, self.second, self.idle = tf.Variable(3.0), tf.Variable(0.5), tf.Variable(7.0)
        self.variables = [self.shared, self.first, self.second, self.idle]

    def losses(self):
        first = tf.reduce_sum([1.0, 2.0] * self.shared) * self.first
        second = tf.reduce_sum([-3.0, 1.0] * self.shared) ** 2 + self.second**2
        return [first, second]

    def gradients(self, penalty=None, mode="eager", **arguments):
        def step():
            with tf.GradientTape(persistent=True) as tape:
                losses = self.losses()
                regularization = None if penalty is None else penalty()
            return mz.gradients.multitask(
                tape, losses, self.variables, regularization=regularization, **arguments
            )

        return MODES[mode](step)()


@pytest.fixture
def problem():
    return Problem()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("aggregator", [None, mz.aggregators.Sum()])
def test_gradients_are_those_of_the_sum(problem, aggregator, mode):
    shared, first, second, idle = problem.gradients(aggregator=aggregator, mode=mode)
    np.testing.assert_allclose(shared, [15.0, 2.0])
    assert (float(first), float(second), idle) == (3.0, 1.0, None)


@pytest.mark.parametrize("mode", MODES)
def test_only_shared_variables_are_aggregated(problem, mode):
    aggregator = mz.aggregators.MGDA()
    aggregator.build((2, None))
    shared, first, second, idle = problem.gradients(aggregator=aggregator, mode=mode)
    # d = (3, 6) + w (9, -10) with <d, (9, -10)> = 0: w = 33 / 181
    np.testing.assert_allclose(shared, [3 + 9 * 33 / 181, 6 - 10 * 33 / 181], rtol=1e-5)
    assert (float(first), float(second), idle) == (3.0, 1.0, None)


def test_aggregator_sees_rows_and_losses(problem):
    recorder = Recorder()
    problem.gradients(aggregator=recorder)
    blocks, losses, present = recorder.given
    np.testing.assert_allclose(blocks[0], problem.rows)
    np.testing.assert_allclose(losses, problem.values)
    assert len(blocks) == 1
    assert present is None


def test_balancer_scales_the_rows_that_the_aggregator_sees(problem):
    recorder = Recorder()
    shared, first, second, _ = problem.gradients(
        aggregator=recorder, balancer=mz.balancers.Static([2.0, 0.5])
    )
    np.testing.assert_allclose(recorder.given[0][0], [[6.0, 12.0], [6.0, -2.0]])
    np.testing.assert_allclose(shared, [12.0, 10.0])
    assert (float(first), float(second)) == (6.0, 0.5)


def test_balancer_and_aggregator_compose(problem):
    balancer = mz.balancers.Uncertainty()
    balancer.build((2,))
    balancer.log_variances.assign(np.log([2.0, 8.0]))
    shared = problem.gradients(balancer=balancer, aggregator=mz.aggregators.MGDA())[0]
    weighted = problem.rows * 0.5 / [[2.0], [8.0]]
    assert_close(shared, mz.aggregators.MGDA()(weighted), "direction")


@pytest.mark.parametrize("aggregator", [None, mz.aggregators.Sum()])
def test_trainable_state_of_the_balancer_gets_its_gradient(problem, aggregator):
    balancer = mz.balancers.Uncertainty()
    balancer.build((2,))
    problem.variables.append(balancer.trainable_variables[0])
    gradients = problem.gradients(balancer=balancer, aggregator=aggregator)
    np.testing.assert_allclose(gradients[-1], [0.5 * (1 - 9.0), 0.5 * (1 - 4.25)])
    np.testing.assert_allclose(gradients[0], [7.5, 1.0])


@pytest.mark.parametrize("aggregator", [None, mz.aggregators.Mean()])
def test_regularization_is_added_outside(problem, aggregator):
    balancer = mz.balancers.Static([2.0, 0.0])
    shared, _, _, idle = problem.gradients(
        penalty=lambda: tf.reduce_sum(problem.shared**2) + problem.idle,
        balancer=balancer,
        aggregator=aggregator,
    )
    factor = 1.0 if aggregator is None else 0.5
    np.testing.assert_allclose(shared, factor * np.array([6.0, 12.0]) + 2.0)
    assert float(idle) == 1.0


def test_present_reaches_balancer_and_aggregator(problem):
    recorder = Recorder()
    present = tf.constant([True, False])
    shared = problem.gradients(balancer=mz.balancers.Equal(), aggregator=recorder, present=present)[0]
    np.testing.assert_allclose(shared, [3.0, 6.0])
    np.testing.assert_array_equal(recorder.given[2], [True, False])


def test_variable_of_a_subset_of_tasks_has_zero_rows_for_the_others():
    all_share, two_share = tf.Variable([1.0]), tf.Variable([[2.0], [3.0]])
    recorder = Recorder()
    with tf.GradientTape(persistent=True) as tape:
        losses = [2 * all_share[0], all_share[0] * two_share[0, 0], all_share[0] + two_share[1, 0]]
    gradients = mz.gradients.multitask(tape, losses, [all_share, two_share], aggregator=recorder)
    first, second = recorder.given[0]
    np.testing.assert_allclose(first, [[2.0], [2.0], [1.0]])
    np.testing.assert_allclose(second, [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert gradients[1].shape == (2, 1)


def test_task_that_reaches_no_shared_variable_does_not_hold_the_others_back():
    shared, own = tf.Variable([1.0, 1.0]), tf.Variable(1.0)
    with tf.GradientTape(persistent=True) as tape:
        losses = [2 * shared[0], shared[1], own**2]
    gradients = mz.gradients.multitask(tape, losses, [shared, own], aggregator=mz.aggregators.MGDA())
    np.testing.assert_allclose(gradients[0], [0.4, 0.8], rtol=1e-5)
    assert float(gradients[1]) == 2.0


def test_no_shared_variable_needs_no_aggregator():
    first, second = tf.Variable(1.0), tf.Variable(2.0)
    recorder = Recorder()
    with tf.GradientTape(persistent=True) as tape:
        losses = [first**2, second**2]
    gradients = mz.gradients.multitask(tape, losses, [first, second], aggregator=recorder)
    assert [float(g) for g in gradients] == [2.0, 4.0]
    assert not hasattr(recorder, "given")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", [mz.aggregators.NashMTL, mz.aggregators.GradNorm, mz.aggregators.ExcessMTL])
def test_weights_of_losses_reach_what_belongs_to_one_task(problem, make, mode):
    aggregator, alone = make(), make()
    for each in (aggregator, alone):
        each.build([(2, 2)])
    found = [np.array(g) for g in problem.gradients(aggregator=aggregator, mode=mode)[:3]]
    direction = alone([problem.rows.astype("float32")], np.array(problem.values, "float32"))[0]
    weights = np.array(alone.loss_weights)
    assert_close(found[0], direction, "direction")
    assert_close(found[1], weights[0] * 3.0, "first")
    assert_close(found[2], weights[1] * 1.0, "second")


def test_weights_of_losses_are_those_of_tasks_that_share():
    shared, own, table = tf.Variable([1.0, 1.0]), tf.Variable(1.0), tf.Variable(tf.ones((3, 1)))
    with tf.GradientTape(persistent=True) as tape:
        losses = [2 * shared[0] + tf.reduce_sum(tf.gather(table, [1, 1])), 4 * shared[1], own**2]
    found = mz.gradients.multitask(
        tape, losses, [shared, own, table], aggregator=mz.aggregators.NashMTL(None)
    )
    np.testing.assert_allclose(found[0], [1.0, 1.0], rtol=1e-5)  # 1 / 2 and 1 / 4 times (2, 0) and (0, 4)
    assert float(found[1]) == 2.0
    assert isinstance(found[2], tf.IndexedSlices)
    np.testing.assert_allclose(tf.convert_to_tensor(found[2]), [[0.0], [1.0], [0.0]], rtol=1e-5)


def test_private_gradients_of_parts_are_their_mean():
    shared, own = tf.Variable([1.0]), tf.Variable(1.0)
    with tf.GradientTape(persistent=True) as tape:
        parts = [[(k + 1.0) * shared[0], (k + 1.0) * own + 3 * shared[0]] for k in range(3)]
    losses = [tf.add_n(column) / 3 for column in zip(*parts, strict=True)]
    found = mz.gradients.multitask(
        tape, losses, [shared, own], aggregator=mz.aggregators.MoDo(gamma=0.0), parts=parts
    )
    np.testing.assert_allclose(found[0], [0.5 * 3 + 0.5 * 3])
    np.testing.assert_allclose(found[1], 2.0)


def test_a_loss_without_gradient_holds_nothing_back():
    shared = tf.Variable([1.0, 1.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = [2 * shared[0], shared[1], tf.constant(3.0)]
        nothing = tf.constant(0.0)
    for aggregator in (None, mz.aggregators.MGDA(), mz.aggregators.NashMTL(), mz.aggregators.Krum()):
        found = mz.gradients.multitask(tape, losses, [shared], aggregator=aggregator, regularization=nothing)
        assert np.isfinite(found[0]).all()
        assert (np.array(found[0]) > 0).any()
    assert mz.gradients.puller(tape)([], [shared, shared]) == [None, None]


@pytest.mark.parametrize("penalized", [False, True])
@pytest.mark.parametrize("aggregator", [None, mz.aggregators.Sum()])
@pytest.mark.parametrize("mode", MODES)
def test_embeddings(mode, aggregator, penalized):
    table, own = tf.Variable(tf.ones((4, 2))), tf.Variable(tf.ones((4, 2)))

    def step():
        with tf.GradientTape(persistent=True) as tape:
            first = tf.reduce_sum(tf.gather(table, [0, 2, 2]))
            second = 3 * tf.reduce_sum(tf.gather(table, [2])) + tf.reduce_sum(tf.gather(own, [1]))
            penalty = tf.reduce_sum(tf.gather(own, [3])) + tf.reduce_sum(table) if penalized else None
        gradients = mz.gradients.multitask(
            tape, [first, second], [table, own], aggregator=aggregator, regularization=penalty
        )
        return [tf.convert_to_tensor(g) for g in gradients]

    extra = float(penalized)
    shared, own_gradient = MODES[mode](step)()
    np.testing.assert_allclose(shared, np.array([[1.0], [0.0], [5.0], [0.0]]) * [1, 1] + extra)
    np.testing.assert_allclose(own_gradient, np.array([[0.0], [1.0], [0.0], [extra]]) * [1, 1])


def test_largest_block_has_the_size_of_the_largest_variable():
    inputs = keras.Input((8,))
    tasks = [mz.Task.regression("left"), mz.Task.regression("right")]
    model = mz.architectures.hard_sharing(inputs, tasks, mz.encoders.mlp(16, 4))
    recorder = Recorder()
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(output) for output in model(np.ones((2, 8))).values()]
    mz.gradients.multitask(tape, losses, model.trainable_variables, aggregator=recorder)
    shapes = [tuple(block.shape) for block in recorder.given[0]]
    assert shapes == [(2, 8 * 16), (2, 16), (2, 16 * 4), (2, 4)]


def test_losses_must_not_be_empty():
    with pytest.raises(ValueError, match="at least one loss"):
        mz.gradients.multitask(tf.GradientTape(), [], [])


def test_loop_of_the_users_own_learns():
    tasks = [mz.Task.classification("digit", 3), mz.Task.regression("size")]
    model = mz.architectures.hard_sharing(keras.Input((4,)), tasks, mz.encoders.mlp(16))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype("float32")
    y = {"digit": x[:, :3].argmax(axis=1), "size": x.sum(axis=1)}
    optimizer = keras.optimizers.Adam(1e-2)
    aggregator = mz.aggregators.PCGrad()

    @tf.function
    def step():
        with tf.GradientTape(persistent=True) as tape:
            predictions = model(x, training=True)
            losses = [task.compute_loss(y[task.name], predictions[task.name]) for task in tasks]
        found = mz.gradients.multitask(tape, losses, model.trainable_variables, aggregator=aggregator)
        optimizer.apply(found, model.trainable_variables)
        return losses

    history = np.array([step() for _ in range(100)])
    assert (history[-1] < 0.5 * history[0]).all()
