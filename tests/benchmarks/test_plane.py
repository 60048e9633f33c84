import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.scripts import loaded


@pytest.fixture(scope="module")
def plane():
    with loaded("plane") as script:
        yield script


def evaluate(plane, *point):
    losses, jacobian = plane.losses_and_jacobian(tf.constant([point], "float64"))
    return losses[0].numpy(), jacobian[0].numpy()


def test_the_upper_half_by_hand(plane):
    x1, x2 = -3.0, 2.0
    losses, jacobian = evaluate(plane, x1, x2)
    tanh, c1 = np.tanh(-x2), np.tanh(0.5 * x2)  # c2 is 0
    inner = np.array([0.5 * (-x1 - 7) - tanh, 0.5 * (-x1 + 3) + tanh + 2])
    f = np.log(np.abs(inner)) + 6
    np.testing.assert_allclose(losses, f * c1, rtol=1e-12)
    np.testing.assert_allclose(jacobian[:, 0], -0.5 / inner * c1, rtol=1e-12)
    slopes = np.array([1, -1]) * (1 - tanh**2)  # of the inner terms
    np.testing.assert_allclose(jacobian[:, 1], slopes / inner * c1 + f * 0.5 * (1 - c1**2), rtol=1e-12)


def test_the_lower_half_by_hand(plane):
    x1, x2 = 2.0, -3.0
    losses, jacobian = evaluate(plane, x1, x2)
    c2 = np.tanh(-0.5 * x2)  # c1 is 0
    away = np.array([-x1 + 7, -x1 - 7])
    q = (away**2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    np.testing.assert_allclose(losses, q * c2, rtol=1e-12)
    np.testing.assert_allclose(jacobian[:, 0], -away / 5 * c2, rtol=1e-12)
    slopes = 0.02 * (x2 + 8) * c2 - 0.5 * (1 - c2**2) * q
    np.testing.assert_allclose(jacobian[:, 1], slopes, rtol=1e-12)


def test_both_halves_have_a_gradient_where_they_meet(plane):
    losses, jacobian = evaluate(plane, 0.0, 0.0)
    slope = (
        0.5 * (np.log(3.5) + 6) - 0.5 * (49 + 6.4 - 200) / 10
    )  # tanh / 2 of the one, -tanh / 2 of the other
    np.testing.assert_allclose(losses, [0.0, 0.0])
    np.testing.assert_allclose(jacobian, [[0.0, slope], [0.0, slope]], rtol=1e-12)


@pytest.mark.parametrize("x1", [-7.0, -3.0, 0.0, 5.0])
def test_gradients_are_opposite_on_the_pareto_set(plane, x1):
    _, (first, second) = evaluate(plane, x1, plane.pareto_x2(x1))
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert abs(x1) == 7 or cosine == pytest.approx(-1, abs=1e-9)
    assert np.cross([*first, 0], [*second, 0])[2] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["MGDA", "CAGrad"])
def test_a_short_descent_approaches_the_pareto_set(plane, name):
    starts = np.array([(0.0, 0.0), (-7.5, -0.5), (9.0, -1.0)])
    path = plane.trajectories(name, starts, steps=3000, interval=1000)
    assert path.shape == (4, 3, 2)
    np.testing.assert_array_equal(path[0], starts)
    distance = np.abs(path[..., 1] - plane.pareto_x2(path[..., 0]))
    assert np.all(np.diff(distance, axis=0) < -0.1)
    np.testing.assert_allclose(path[:, 0, 0], 0.0, atol=1e-3)  # symmetric, so it falls straight


def test_each_start_has_its_own_state(plane):
    starts = np.array([(0.0, 0.0), (9.0, -1.0)])
    together = plane.trajectories("FAMO+", starts, steps=200, interval=100)
    alone = plane.trajectories("FAMO+", starts[1:], steps=200, interval=200)
    np.testing.assert_allclose(together[-1, 1], alone[-1, 0], rtol=1e-9)


def test_the_table_shows_what_was_expected_and_what_is_off_the_set(plane):
    points = np.array([(-8.5, 7.5), (0.0, -8.355), (0.2, -8.36), (-7.5, -0.5), (6.0, -8.41)])
    text = plane.table({"CAGrad": points, "MoCo+": points})
    assert "| **(-8.50, 7.50)** [0.00] | 0.00 [0.00] | 0.20 [0.00] |" in text
    assert text.splitlines()[2].endswith("| 8.50 |")
    assert text.splitlines()[3].endswith("| 6.00 |  |")
