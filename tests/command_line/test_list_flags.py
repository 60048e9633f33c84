import pytest

from mtl_zoo.command_line.list_flags import ChoicesParser, MethodsParser, NumbersParser, pair_of
from mtl_zoo.experiments.names import exported


def test_choices_have_their_arguments():
    text = "hard_sharing,mmoe:num_experts=8,activation=relu,cross_stitch"
    assert ChoicesParser("architecture").parse(text) == [
        *("hard_sharing", "mmoe:num_experts=8,activation=relu", "cross_stitch")
    ]


@pytest.mark.parametrize("text", ["equal,", "equal,dwaa", "equal,temperature=3", "temperature=3"])
def test_unknown_choices_are_refused(text):
    with pytest.raises(ValueError, match="must be one of"):
        ChoicesParser("balancer").parse(text)


def test_no_name_is_that_of_a_balancer_and_of_an_aggregator():
    assert not {*exported("balancer")} & {*exported("aggregator")}


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("equal", ("equal", "none")),
        ("none", ("equal", "none")),
        ("UpGrad", ("equal", "UpGrad")),
        ("static:weights=[1, 2]", ("static:weights=[1, 2]", "none")),
        ("dwa:temperature=1e+1", ("dwa:temperature=1e+1", "none")),
        ("dwa:temperature=1e+1+cagrad:c=1e-1", ("dwa:temperature=1e+1", "cagrad:c=1e-1")),
        ("static:from=runs/a+b", ("static:from=runs/a+b", "none")),
        ("static:from=runs/a+b+pcgrad", ("static:from=runs/a+b", "pcgrad")),
    ],
)
def test_a_method_is_a_pair(text, pair):
    assert pair_of(text) == pair
    assert MethodsParser().parse(f"famo,{text}") == [("famo", "none"), pair]


@pytest.mark.parametrize("text", ["pcgrad+uncertainty", "uncertainty+", "+pcgrad", "", "mgdaa"])
def test_other_methods_are_refused(text):
    with pytest.raises(ValueError, match="A method must be one of the balancers"):
        pair_of(text)


def test_numbers():
    assert NumbersParser(float).parse("3e-4, 1") == [3e-4, 1.0]
    assert NumbersParser(int).parse("0,1") == [0, 1]
    with pytest.raises(ValueError, match="must be whole numbers"):
        NumbersParser(int).parse("0,1.5")
    with pytest.raises(ValueError, match="must be numbers"):
        NumbersParser(float).parse("0,,1")
