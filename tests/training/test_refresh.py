import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.training.refresh import Refresh, refreshing
from tests.harness import instance, methods

GRAMIAN = {
    name: cls
    for name, cls in methods(mz.aggregators, mz.aggregators.base.GramianAggregator).items()
    if not (cls.per_reach or name == "PreferenceAggregator")
}
JACOBIAN = np.array([[1.0, 0.5, 0.0], [-0.5, 1.0, 2.0]], "float32")
LOSSES = np.array([1.0, 2.0], "float32")


def refresh_of(cls, every=3):
    method = instance(cls)
    method.build((2, None))
    return Refresh(method, every)


@pytest.mark.parametrize("name", GRAMIAN)
def test_weights_stay_until_they_are_renewed(name):
    found, expected = [], refresh_of(GRAMIAN[name], 1)
    refresh = refresh_of(GRAMIAN[name])
    for scale in (1.0, -2.0, 3.0, 4.0):
        refresh(scale * JACOBIAN, LOSSES)
        found.append(np.array(refresh.kept))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
    assert int(refresh.wait) == 2
    if name not in ("PCGrad", "GradVac"):  # which draw
        for scale in (1.0, 4.0):
            expected(scale * JACOBIAN, LOSSES)
        np.testing.assert_allclose(found[3], np.array(expected.kept), rtol=1e-5)


def test_the_direction_is_that_of_the_last_weights():
    refresh = refresh_of(mz.aggregators.MGDA)
    refresh(np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(refresh(np.array([[4.0, 0.0], [0.0, 8.0]])), [2.0, 4.0])
    np.testing.assert_allclose(refresh.aggregator.task_weights, [0.5, 0.5])


def test_every_direction_is_shortened():
    refresh = refresh_of(mz.aggregators.FairGrad)
    for scale in (1.0, 100.0, 1e-4):
        direction = np.array(refresh(scale * JACOBIAN))
        weights = np.array(refresh.kept) @ (scale * JACOBIAN)
        factor = min(1.0, 1.0 / np.linalg.norm(weights))
        np.testing.assert_allclose(direction, factor * weights, rtol=1e-5)
        np.testing.assert_allclose(refresh.task_weights, factor * np.array(refresh.kept), rtol=1e-5)


def test_a_task_that_was_absent_renews_the_weights():
    refresh = refresh_of(mz.aggregators.MGDA)
    both, first = np.array([True, True]), np.array([True, False])
    refresh(JACOBIAN * [[1.0], [0.0]], present=first)
    np.testing.assert_array_equal(refresh.kept, [1.0, 0.0])
    refresh(JACOBIAN, present=both)
    assert int(refresh.wait) == 2
    assert np.min(refresh.kept) > 0
    refresh(JACOBIAN * [[1.0], [0.0]], present=first)  # less than there were renews nothing
    refresh(JACOBIAN, present=both)
    assert int(refresh.wait) == 0


def test_one_is_the_method_itself():
    method = mz.aggregators.MGDA()
    assert refreshing(method, 1) is method
    assert refreshing(None, 1) is None


@pytest.mark.parametrize("name", ["GradDrop", "TrimmedMean", "MoDo", "Krum", None])
def test_methods_without_one_set_of_weights_are_refused(name):
    method = None if name is None else getattr(mz.aggregators, name)()
    with pytest.raises(ValueError, match=r"needs an aggregator that finds one set .*refresh_every=2, aggreg"):
        refreshing(method, 2)


def test_saved_and_loaded():
    refresh = refresh_of(mz.aggregators.UPGrad)
    config = keras.saving.serialize_keras_object(refresh)["config"]
    assert (config["every"], config["aggregator"]["class_name"]) == (3, "UPGrad")
