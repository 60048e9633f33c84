import numpy as np

from mtl_zoo.balancers._solved import unsolved


def test_tasks_without_a_positive_loss_count_as_absent():
    losses, present = np.array([2.0, 0.0, -1.0, 3.0, 1e-13], "float32"), np.array([1, 1, 1, 0, 1], "float32")
    left, still = unsolved(losses, present)
    np.testing.assert_array_equal(left, [2, 1, 1, 1, 1])
    np.testing.assert_array_equal(still, [1, 0, 0, 0, 0])
