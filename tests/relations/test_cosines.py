import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.relations.cosines import cosines
from tests.callbacks.test_gradient_monitor import HEADS, SHARED, X, Y, gradients_by_hand, linear_trainer

PROBE = mz.evaluation.Probe(("a", "b"), 64, ((None, None), (None, None)), (0.5, 2.0), (1.0, 1.0))


def test_cosines_of_a_monitor_are_those_of_the_gradients(tmp_path):
    trainer = linear_trainer(SHARED, HEADS)
    monitor = mz.callbacks.GradientMonitor(tmp_path, (X, Y), every=100)
    with pytest.raises(FileNotFoundError):
        cosines(_attached(monitor, trainer))
    trainer.fit(X, Y, batch_size=4, callbacks=[monitor], verbose=0)
    first, second = (
        np.ravel(shared) for shared, _ in gradients_by_hand(trainer.model.get_weights()).values()
    )
    wanted = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    found = cosines(monitor)
    assert (found.names, found.quantity) == (("first", "second"), "cosine")
    np.testing.assert_allclose(found.values, [[1, wanted], [wanted, 1]], rtol=1e-5)


def _attached(monitor, trainer):
    monitor.set_model(trainer)
    return monitor


def test_tasks_that_share_nothing_have_none():
    np.testing.assert_array_equal(cosines(PROBE).values, [[1, np.nan], [np.nan, 1]])


def test_another_source_is_refused():
    with pytest.raises(TypeError, match="must be a `GradientMonitor` or a `Probe`"):
        cosines("runs")
