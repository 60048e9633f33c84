import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import nnls

from mtl_zoo.numerics import solvers
from tests.harness import assert_close

SIZES = [1, 2, 3, 5, 10, 20, 64]


@pytest.fixture(scope="module")
def min_norm():
    return tf.function(solvers.min_norm)


def reference(jacobian):
    """Return the shortest vector of the convex hull in float64: least squares with a row of ones."""
    scale = np.linalg.norm(jacobian, axis=1).min()
    system = np.vstack([jacobian.T / scale, np.ones(len(jacobian))])
    weights, _ = nnls(system, np.r_[np.zeros(jacobian.shape[1]), 1.0], maxiter=100 * len(jacobian))
    return jacobian.T @ weights / weights.sum()


def random_jacobians(num_tasks):
    """Yield conflicting, agreeing and nearly parallel rows, of norms up to 1e4 apart, of any rank."""
    rng = np.random.default_rng(num_tasks)
    for size in (1, 2, num_tasks // 2 + 1, num_tasks, 4 * num_tasks + 1, 300):
        for decades in (0, 1, 4):
            norms = 10 ** rng.uniform(-decades / 2, decades / 2, size=(num_tasks, 1))
            for common, own in ((0.0, 1.0), (3.0, 0.3), (1.0, 1e-3)):
                rows = common * rng.normal(size=(1, size)) + own * rng.normal(size=(num_tasks, size))
                yield norms * rows


def degenerate_jacobians(num_tasks):
    rng = np.random.default_rng(num_tasks)
    row = rng.normal(size=(1, 30))
    yield row * rng.uniform(0.1, 3.0, size=(num_tasks, 1))
    yield np.repeat(row, num_tasks, axis=0)
    yield row * rng.normal(size=(num_tasks, 1)) * 1e4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_tasks", SIZES)
def test_min_norm_is_optimal(min_norm, num_tasks, dtype):
    # A Gramian in float32 knows directions to 1e-7 of a gradient's length, so d @ d to 1e-4 of itself
    # only where d is not much shorter than the shortest gradient.
    floor = 1e-2 if dtype == "float32" else 1e-9
    for jacobian in [*random_jacobians(num_tasks), *degenerate_jacobians(num_tasks)]:
        jacobian = jacobian.astype(dtype)
        weights = np.asarray(min_norm(tf.constant(jacobian @ jacobian.T)), "float64")
        jacobian = jacobian.astype("float64")
        assert (weights >= 0).all()
        assert weights.sum() == pytest.approx(1.0, abs=1e-6)
        direction = weights @ jacobian
        expected = reference(jacobian)
        squared, shortest = expected @ expected, np.square(jacobian).sum(axis=1).min()
        allowed = 1e-4 * max(squared, floor * shortest)
        assert direction @ direction - squared <= allowed, (jacobian.shape, direction @ direction, squared)
        if dtype == "float64" and squared > 1e-6 * shortest:
            products = jacobian @ direction  # at least d @ d; equal for the gradients in use
            assert (products >= squared * (1 - 1e-6)).all()
            used = weights * np.linalg.norm(jacobian, axis=1) > 1e-4 * np.sqrt(squared)
            assert_close(products[used], np.full(used.sum(), squared), "products", 1e-6)


@pytest.mark.parametrize("ratio", [1e-4, 1e-2, 1.0, 1e2, 1e4])
@pytest.mark.parametrize("cosine", [-0.999, -0.5, 0.0, 0.5, 0.999])
def test_min_norm_of_two_has_the_closed_form(min_norm, cosine, ratio):
    first, second = np.array([1.0, 0.0]), ratio * np.array([cosine, np.sqrt(1 - cosine**2)])
    difference = second - first
    weight = np.clip(second @ difference / (difference @ difference), 0.0, 1.0)
    jacobian = np.stack([first, second])
    np.testing.assert_allclose(
        min_norm(jacobian @ jacobian.T), [weight, 1 - weight], atol=1e-6 * min(ratio, 1)
    )


@pytest.mark.parametrize("num_tasks", SIZES[1:])
def test_min_norm_is_zero_where_the_hull_holds_zero(min_norm, num_tasks):
    jacobian = np.random.default_rng(0).normal(size=(num_tasks, 100))
    jacobian[-1] = -1e-2 * jacobian[:-1].sum(axis=0)
    weights = np.asarray(min_norm(jacobian @ jacobian.T))
    assert np.linalg.norm(weights @ jacobian) < 1e-5 * np.linalg.norm(jacobian, axis=1).min()


@pytest.mark.parametrize("num_tasks", SIZES)
def test_min_norm_gives_a_zero_gradient_all_the_weight(min_norm, num_tasks):
    jacobian = np.random.default_rng(0).normal(size=(num_tasks, 7))
    jacobian[0] = 0.0
    np.testing.assert_allclose(min_norm(jacobian @ jacobian.T), np.eye(num_tasks)[0], atol=1e-10)


def test_min_norm_of_zeros_is_even(min_norm):
    np.testing.assert_allclose(min_norm(np.zeros((3, 3))), np.full(3, 1 / 3))


@pytest.mark.parametrize("scale", [1e-15, 1e-6, 1e6, 1e15])
def test_min_norm_does_not_depend_on_the_scale(min_norm, scale):
    jacobian = np.random.default_rng(0).normal(size=(5, 20))
    gramian = jacobian @ jacobian.T
    np.testing.assert_allclose(min_norm(scale**2 * gramian), min_norm(gramian), atol=1e-8)


@pytest.mark.parametrize("present", [[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 0, 1]])
def test_min_norm_leaves_absent_gradients_out(min_norm, present):
    present = np.array(present, bool)
    jacobian = np.where(present[:, None], np.random.default_rng(0).normal(size=(4, 6)), 0.0)
    kept = jacobian[present]
    weights = np.asarray(min_norm(jacobian @ jacobian.T, present))
    np.testing.assert_allclose(weights[present], min_norm(kept @ kept.T), atol=1e-8)
    assert (weights[~present] == 0).all()


def test_min_norm_without_a_present_gradient_is_even(min_norm):
    np.testing.assert_allclose(min_norm(np.zeros((4, 4)), np.zeros(4, bool)), np.full(4, 0.25))


@pytest.mark.parametrize("num_tasks", [2, 10])
def test_min_norm_is_the_same_with_xla(min_norm, num_tasks):
    compiled = tf.function(solvers.min_norm, jit_compile=True)
    for jacobian in degenerate_jacobians(num_tasks):
        gramian = tf.constant((jacobian @ jacobian.T).astype("float32"))
        shortest = np.linalg.norm(jacobian, axis=1).min()
        direction, expected = (np.asarray(f(gramian)) @ jacobian for f in (compiled, min_norm))
        assert_close(direction, expected, "direction", scale=shortest)
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("entry", [np.nan, np.inf])
def test_min_norm_survives_numbers_that_are_not_finite(min_norm, entry):
    np.testing.assert_allclose(min_norm(np.array([[entry, 0.0], [0.0, 1.0]])), [0.5, 0.5])


def test_normalize_makes_absent_gradients_orthogonal_units():
    gramian = np.array([[4.0, 2.0, 9.0], [2.0, 9.0, 9.0], [9.0, 9.0, 0.0]])
    unit, norms = solvers.normalize(gramian, np.array([True, True, False]))
    np.testing.assert_allclose(unit, [[1.0, 1 / 3, 0.0], [1 / 3, 1.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(norms[:2], [2.0, 3.0])


def test_a_diagonal_matrix_has_a_fixed_shape_and_keeps_what_is_not_finite_apart():
    vector = tf.constant([1.0, float("inf"), 3.0], "float64")
    matrix = tf.function(solvers.diagonal_matrix, jit_compile=True)(vector)
    np.testing.assert_array_equal(matrix, np.diag([1.0, np.inf, 3.0]))


def test_nearest_semidefinite_drops_negative_eigenvalues_only():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    matrix = rotation @ np.diag([-1e-3, 0.5, 2.0]) @ rotation.T
    expected = rotation @ np.diag([0.0, 0.5, 2.0]) @ rotation.T
    np.testing.assert_allclose(solvers.nearest_semidefinite(matrix), expected, atol=1e-12)


SOLVERS = {
    "project_on_dual_cone": lambda g, present=None: solvers.project_on_dual_cone(
        g, tf.eye(g.shape[0]), present
    ),
    "bargain": lambda g, present=None: solvers.bargain(g, 2.0, present),
    "conflict_averse": lambda g, present=None: solvers.conflict_averse(g, 0.5, present),
    "conflict_averse_wide": lambda g, present=None: solvers.conflict_averse(g, 3.0, present),
    "equal_cosines": lambda g, present=None: solvers.equal_cosines(g, tf.ones(g.shape[0]), present),
}


def stress_jacobians(num_tasks):
    yield from random_jacobians(num_tasks)
    yield from degenerate_jacobians(num_tasks)
    yield np.zeros((num_tasks, 3))
    yield np.eye(num_tasks)[:, :1] * 1e4  # one gradient alone


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("num_tasks", [1, 10, 64])
def test_weights_are_finite(name, num_tasks):
    solve = tf.function(SOLVERS[name])
    for jacobian in stress_jacobians(num_tasks):
        jacobian = jacobian.astype("float32")
        weights = np.asarray(solve(tf.constant(jacobian @ jacobian.T)))
        assert np.isfinite(weights).all(), jacobian.shape


@pytest.mark.parametrize("name", SOLVERS)
def test_weights_are_the_same_with_xla(name):
    solve, compiled = tf.function(SOLVERS[name]), tf.function(SOLVERS[name], jit_compile=True)
    rng = np.random.default_rng(0)
    for decades in (0, 1, 4):
        jacobian = 10 ** rng.uniform(-decades / 2, decades / 2, size=(10, 1)) * rng.normal(size=(10, 30))
        gramian = tf.constant((jacobian @ jacobian.T).astype("float32"))
        weights, expected = np.asarray(compiled(gramian)), np.asarray(solve(gramian))
        assert_close(weights @ jacobian, expected @ jacobian, "direction")
    assert np.isfinite(compiled(tf.zeros((10, 10)))).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_absent_gradients_are_left_out(name):
    present = np.array([True, False, True, True])
    jacobian = np.random.default_rng(0).normal(size=(4, 6)) * [[1.0], [1.0], [10.0], [0.1]]
    gramian, kept = jacobian @ jacobian.T, jacobian[present] @ jacobian[present].T
    weights = np.asarray(SOLVERS[name](tf.constant(gramian), present))
    if weights.ndim == 2:
        weights = weights[present]
    assert_close(weights[..., present], SOLVERS[name](tf.constant(kept)), "weights", 1e-6)
    assert (weights[..., ~present] == 0).all()
    assert np.isfinite(SOLVERS[name](tf.constant(gramian), np.zeros(4, bool))).all()


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("entry", [np.nan, np.inf])
def test_numbers_that_are_not_finite_raise_no_error(name, entry):
    SOLVERS[name](tf.constant([[entry, 0.0], [0.0, 1.0]]))


@pytest.mark.parametrize("num_tasks", [2, 10, 64])
def test_projections_are_those_of_least_squares(num_tasks):
    solve = tf.function(SOLVERS["project_on_dual_cone"])
    rng = np.random.default_rng(num_tasks)
    for decades in (0, 4):
        norms = 10 ** rng.uniform(-decades / 2, decades / 2, size=(num_tasks, 1))
        jacobian = norms * (rng.normal(size=(1, 100)) * 0.3 + rng.normal(size=(num_tasks, 100)))
        weights = np.asarray(solve(tf.constant(jacobian @ jacobian.T)))
        unit = jacobian / np.linalg.norm(jacobian, axis=1, keepdims=True)
        for row, own in zip(weights[:5], jacobian, strict=False):
            expected = own + nnls(unit.T, -own, maxiter=1000)[0] @ unit
            assert_close(row @ jacobian, expected, "projection", 1e-8)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("num_tasks", [2, 10, 64])
def test_bargain_solves_its_equation(num_tasks, alpha):
    solve = tf.function(lambda gramian: solvers.bargain(gramian, alpha))
    for jacobian in (np.random.default_rng(s).normal(size=(num_tasks, 2 * num_tasks)) for s in range(5)):
        gramian = jacobian @ jacobian.T
        weights = np.asarray(solve(tf.constant(gramian)))
        assert_close(gramian @ weights * weights ** (1 / alpha), np.ones(num_tasks), "equation", 1e-8)


@pytest.mark.parametrize(
    ("vector", "projection"),
    [
        ([0.2, 0.8], [0.2, 0.8]),
        ([1.0, 1.0, 1.0, 1.0], [0.25, 0.25, 0.25, 0.25]),
        ([2.0, 0.0, -1.0], [1.0, 0.0, 0.0]),
        ([1.0, 0.5, -3.0], [0.75, 0.25, 0.0]),
        ([1e6, 1e6 - 0.5, 0.0], [0.75, 0.25, 0.0]),
        ([-7.0], [1.0]),
    ],
)
def test_project_simplex_by_hand(vector, projection):
    np.testing.assert_allclose(solvers.project_simplex(np.array(vector, "float32")), projection, atol=1e-6)


def test_project_simplex_leaves_absent_entries_out():
    vector = np.array([0.5, 9.0, 0.3, -4.0])
    present = np.array([True, False, True, True])
    projection = np.asarray(solvers.project_simplex(vector, present))
    np.testing.assert_allclose(projection[present], solvers.project_simplex(vector[present]))
    assert projection[1] == 0
    np.testing.assert_allclose(solvers.project_simplex(vector, np.zeros(4, bool)), np.full(4, 0.25))
