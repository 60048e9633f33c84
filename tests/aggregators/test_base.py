import numpy as np
import pytest

from mtl_zoo.aggregators import Aggregator, GramianAggregator
from mtl_zoo.aggregators.base import cross_gramian, inner_products, num_tasks


def test_inner_products_sum_over_blocks():
    jacobian = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]], "float32")
    expected = [[14.0, 10.0], [10.0, 17.0]]
    np.testing.assert_allclose(inner_products(jacobian), expected)
    np.testing.assert_allclose(inner_products([jacobian[:, :1], jacobian[:, 1:]]), expected)


def test_cross_gramian_has_the_first_part_in_its_rows():
    parts = np.array([[[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]], [[1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]], "float32")
    expected = [[4.0, 4.0], [4.0, -1.0]]
    np.testing.assert_allclose(cross_gramian(parts), expected)
    np.testing.assert_allclose(cross_gramian([parts[..., :1], parts[..., 1:]]), expected)


@pytest.mark.parametrize("shape", [(3, None), (3, 7), (2, 3, 7), [(3, 7), (3, 2)], ((3, 7),), [(2, 3, 7)]])
def test_num_tasks_is_read_from_one_shape_or_several(shape):
    assert num_tasks(shape) == 3


def test_subclass_must_compute_weights():
    with pytest.raises(NotImplementedError, match="GramianAggregator must implement `compute_weights`"):
        GramianAggregator()(np.ones((2, 3)))


def test_subclass_needs_only_weights():
    class First(GramianAggregator):
        def compute_weights(self, gramian, losses, present):
            return losses

    aggregator = First()
    direction = aggregator([np.eye(2), np.ones((2, 1))], np.array([2.0, 3.0]))
    np.testing.assert_allclose(direction[0], [2.0, 3.0])
    np.testing.assert_allclose(direction[1], [5.0])
    np.testing.assert_allclose(aggregator.task_weights, [2.0, 3.0])


@pytest.mark.parametrize("shape", [(2, 3), [(2, 3), (2, 5)]])
def test_block_weights_have_the_shape_of_the_jacobian(shape):
    aggregator = Aggregator()
    variables = aggregator.add_block_weights("average", shape)
    assert [tuple(variable.shape) for variable in variables] == (
        shape if isinstance(shape, list) else [shape]
    )
    assert aggregator.non_trainable_variables == variables
    assert all((np.array(variable) == 0).all() for variable in variables)


def test_block_weights_need_all_sizes():
    with pytest.raises(
        ValueError, match=r"size of every block .* Received: jacobian_shape=\[\(2, 3\), \(2, None\)"
    ):
        Aggregator().add_block_weights("average", [(2, 3), (2, None)])
