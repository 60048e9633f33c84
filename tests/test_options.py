import pytest

from mtl_zoo import options
from mtl_zoo.experiments import schedule
from mtl_zoo.training import distribution


@pytest.mark.parametrize(
    ("names", "makers"),
    [(options.SCHEDULES, schedule.MAKERS), (options.STRATEGIES, distribution.MAKERS)],
)
def test_there_is_one_for_every_name(names, makers):
    assert names == tuple(makers)
