import numpy as np
import pytest

from mtl_zoo.numerics.preferences import check_one_per_task, check_preferences, task_shares


def test_numbers_become_floats():
    assert check_preferences(np.array([1, 2])) == [1.0, 2.0]
    assert check_preferences(None) is None


@pytest.mark.parametrize("preferences", [[], [1.0, 0.0], [-1.0], [float("nan")], [float("inf")]])
def test_preferences_must_be_positive(preferences):
    with pytest.raises(ValueError, match="must hold finite numbers above 0"):
        check_preferences(preferences)


def test_there_must_be_one_per_task():
    check_one_per_task([1.0, 2.0], 2)
    check_one_per_task(None, 2)
    with pytest.raises(ValueError, match="one number per task, 3"):
        check_one_per_task([1.0, 2.0], 3)


@pytest.mark.parametrize(
    ("preferences", "present", "shares"),
    [
        (None, None, [1 / 3, 1 / 3, 1 / 3]),
        (None, [True, False, True], [1 / 2, 0.0, 1 / 2]),
        (None, [False, False, False], [0.0, 0.0, 0.0]),
        ([1.0, 2.0, 3.0], None, [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [True, False, True], [1.0, 0.0, 3.0]),
    ],
)
def test_shares(preferences, present, shares):
    np.testing.assert_allclose(task_shares(preferences, 3, present), shares, rtol=1e-6)
