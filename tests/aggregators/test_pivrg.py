import numpy as np
import pytest

from mtl_zoo.aggregators import PIVRG, FairGrad
from tests.harness import assert_close, check_aggregator, check_resumes


def shares(scores, bound=2.0, min_temperature=10.0):
    """Return what is to be larger for tasks that perform worse, in float64."""
    scores = np.asarray(scores, "float64")
    temperature = max((scores.max() - scores.min()) / np.log(bound), min_temperature)
    powers = np.exp((scores - scores.max()) / temperature)
    return len(scores) * powers / powers.sum()


def random_jacobian(num_tasks=4):
    return np.random.default_rng(0).normal(size=(num_tasks, 9)) * [[0.1], [1.0], [10.0], [1.0]][:num_tasks]


def test_contract():
    check_aggregator(PIVRG)


def test_equal_scores_give_fair_gains():
    jacobian = random_jacobian()
    expected = np.asarray(FairGrad(2.0, max_norm=None, dtype="float64")(jacobian))
    for scores in (None, [7.0] * 4, [-1e3] * 4):
        found = PIVRG(scores, max_norm=None, dtype="float64")(jacobian)
        assert_close(found, expected, f"scores {scores}", 1e-9)
    shortened = expected / max(1.0, np.linalg.norm(expected))
    assert_close(PIVRG(dtype="float64")(jacobian), shortened, "shortened", 1e-9)


@pytest.mark.parametrize("scores", [[0.0, 5.0, -3.0, 1.0], [300.0, 0.0, -40.0, 2.0]])
@pytest.mark.parametrize("arguments", [{}, {"bound": 20.0, "min_temperature": 1.0}])
def test_weights_solve_the_equation(scores, arguments):
    aggregator, jacobian = PIVRG(scores, max_norm=None, dtype="float64", **arguments), random_jacobian()
    gains = jacobian @ np.asarray(aggregator(jacobian))
    weights, wanted = np.asarray(aggregator.task_weights), shares(scores, **arguments)
    assert (weights > 0).all()
    assert_close(gains * np.sqrt(weights / wanted), np.ones(4), "equation", 1e-8)
    assert wanted.max() / wanted.min() <= arguments.get("bound", 2.0) * (1 + 1e-9)


def test_scores_may_be_assigned():
    aggregator, jacobian = PIVRG(), random_jacobian()
    aggregator(jacobian)
    aggregator.scores.assign([0.0, 5.0, -3.0, 1.0])
    assert_close(aggregator(jacobian), PIVRG([0.0, 5.0, -3.0, 1.0])(jacobian), "direction", 1e-6)


def test_absent_task_has_no_share():
    present = np.array([True, False, True, True])
    aggregator, jacobian = PIVRG([9.0, 99.0, 0.0, -9.0]), random_jacobian()
    direction = aggregator(jacobian * present[:, None], None, present)
    assert_close(direction, PIVRG([9.0, 0.0, -9.0])(jacobian[present]), "direction")


def test_resumes(tmp_path):
    check_resumes(lambda: PIVRG([30.0, 0.0]), [(random_jacobian(2),)] * 4, tmp_path)


def test_one_score_per_task():
    with pytest.raises(ValueError, match="`scores` must have one number per task, 3"):
        PIVRG([1.0, 2.0]).build((3, None))
