import numpy as np
import pytest

from mtl_zoo.relations.gains import gains


def test_gains_are_relative_and_better_is_above_0():
    found = gains([[0.8, 9.0], [0.6, 10.0]], ("auc", "error"), signs=(1, -1))
    np.testing.assert_allclose(found.values, [[0, 0.1], [-0.25, 0]])
    assert (found.names, found.quantity) == (("auc", "error"), "gain")
    np.testing.assert_allclose(gains([[-2.0, 1.0], [-1.0, 1.0]], ("a", "b")).values, [[0, 0], [0.5, 0]])
    np.testing.assert_array_equal(
        gains([[1.0, np.nan], [2.0, 1.0]], ("a", "b")).values, [[0, np.nan], [1, 0]]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.0, 1.0], [1.0, 1.0]], ("a", "b")), "must have the result of each task alone"),
        (([[np.nan, 1.0], [1.0, 1.0]], ("a", "b")), "must have the result of each task alone"),
        (([[1.0, 1.0]], ("a", "b")), "`results` must be 2 rows of 2 numbers"),
        (([[1.0, 1.0], [1.0, 1.0]], ("a", "b"), (1, 0)), "`signs` must be 1 or -1 for each"),
        (([[1.0, 1.0], [1.0, 1.0]], ("a", "b"), (1,)), "`signs` must be 1 or -1 for each"),
        (([[1.0, 1.0], [1.0, 1.0]], ("a", "b"), (1, 2)), "`signs` must be at most 1"),
    ],
)
def test_wrong_results_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gains(*arguments)
