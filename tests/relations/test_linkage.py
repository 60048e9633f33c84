import numpy as np
import pytest
from scipy.cluster import hierarchy  # of scikit-learn's requirements
from scipy.spatial.distance import squareform

from mtl_zoo.relations.linkage import average_linkage


@pytest.mark.parametrize("number", [2, 5, 9])
def test_merges_are_those_of_scipy(number):
    values = np.random.default_rng(number).normal(size=(number, number))
    distance = 9.0 - (values + values.T) / 2
    np.fill_diagonal(distance, 0.0)
    wanted = hierarchy.linkage(squareform(distance), "average")
    found = average_linkage(values)
    assert [sorted(pair) for *pair, _ in found] == wanted[:, :2].astype(int).tolist()
    np.testing.assert_allclose([height for *_, height in found], 9.0 - wanted[:, 2])


def test_one_task_joins_nothing():
    assert average_linkage(np.ones((1, 1))) == []
