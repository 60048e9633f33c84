import pytest

from mtl_zoo.experiments import names
from mtl_zoo.experiments.choices import FAMILIES


@pytest.mark.parametrize("kind", names.ROOMS)
def test_names_in_the_source_are_those_of_the_members(kind):
    assert names.exported(kind) == sorted(FAMILIES[kind].members())


def test_case_and_underscores_do_not_matter():
    assert names.find("architecture", " Cross-Stitch".replace("-", ""), {"cross_stitch": 1, "ple": 2}) == 1
    with pytest.raises(ValueError, match=r"must be one of a, b\. Received: 'c'"):
        names.find("architecture", "c", {"b": 1, "a": 2})


def test_only_unknown_names_are_refused_before_the_import(monkeypatch):
    names.check_name("balancer", "nothing")  # the room is imported, and decides itself
    monkeypatch.delitem(names.sys.modules, "mtl_zoo.balancers")
    names.check_name("balancer", "D_WA:temperature=3")
    names.check_name("optimizer", "nothing")  # Keras' own
    first = "The balancer must be one of autolambda, cosmos, dtp"
    with pytest.raises(ValueError, match=rf"{first}.*Received: 'nothing'"):
        names.check_name("balancer", "nothing:a=1")
