import numpy as np
import pytest

from mtl_zoo.numerics.margins import nearest_with_margins

JACOBIAN = np.array([[0.0, 2.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 4.0]])


@pytest.mark.parametrize(
    ("margin", "present", "direction"),
    [
        (0.0, None, [1.0, 1.0, 0.0]),  # (0, 2, 0) projected
        (0.5, None, [1.5, 0.5, 2.0]),  # half of the squares 2 and 16 in the products
        (0.5, [True, True, False], [1.5, 0.5, 0.0]),
    ],
)
def test_by_hand(margin, present, direction):
    found = np.asarray(nearest_with_margins(JACOBIAN @ JACOBIAN.T, np.ones(3), 0, margin, present))
    expected = 2.0 * np.array(direction) / np.linalg.norm(direction)
    np.testing.assert_allclose(found @ JACOBIAN, expected, atol=1e-9)


def test_without_the_first_it_is_the_shortest():
    present, scale = [False, True, True], np.array([0.25, 1.0, 2.0])
    found = np.asarray(nearest_with_margins(JACOBIAN @ JACOBIAN.T, scale, 0, 0.5, present))
    np.testing.assert_allclose(found @ JACOBIAN, [2.0, -2.0, 16.0], atol=1e-9)  # (0.5, -0.5, 4) over 0.25
