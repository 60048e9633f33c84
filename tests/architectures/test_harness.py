import itertools

import mtl_zoo as mz
from tests.architectures.harness import AGGREGATORS, ARCHITECTURES, BALANCERS, methods_for


def test_training_has_every_pair_of_methods():
    chosen = {name: methods_for(getattr(mz.architectures, name)) for name in ARCHITECTURES}
    for pairs in chosen.values():
        assert {balancer for balancer, _ in pairs} == set(BALANCERS)
        assert {aggregator for _, aggregator in pairs} == set(AGGREGATORS)
    assert set().union(*chosen.values()) == set(itertools.product(BALANCERS, AGGREGATORS))
