import pytest

from mtl_zoo.experiments.argument_text import parse, split, write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1", {"a": 1}),
        ("a=[1, 2],b=x", {"a": [1, 2], "b": "x"}),
        ("weights={'kind': 1.0, 'age': 0.5}", {"weights": {"kind": 1.0, "age": 0.5}}),
        ("path=a-b/c.csv, n = 3", {"path": "a-b/c.csv", "n": 3}),
        ("path='x,y=1',n=3", {"path": "x,y=1", "n": 3}),
        ("a=(1,)", {"a": (1,)}),
        ("a=1)(b=2", {"a": "1)(b=2"}),
    ],
)
def test_values_are_literals_or_strings(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["a", "a=1,a=2", "1=2", "**{'a': 1}", "f(x)", "a=[1,a=2,a=3"])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"must be key=value,\.\.\. with every key once"):
        parse(text)


def test_what_is_written_is_read():
    arguments = {"path": "a,b='c'\"\n", "tasks": ["x:binary:classes=['no', 'yes']"], "n": None, "m": {}}
    assert parse(write(arguments)) == arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("equal", ["equal"]),
        ("equal, dwa", ["equal", "dwa"]),
        ("mmoe:num_experts=8,x=2,ple", ["mmoe:num_experts=8,x=2", "ple"]),
        ("static:weights=[1, 2],dwa:temperature=3", ["static:weights=[1, 2]", "dwa:temperature=3"]),
        ("static:weights={'a': 1, 'b': 2},equal", ["static:weights={'a': 1, 'b': 2}", "equal"]),
        ("static:from='a,b=c/d',equal", ["static:from='a,b=c/d'", "equal"]),
        ("crmogm:aggregator='cagrad:c=0.4,x=1',decay=0.5,pcgrad", None),
        ("equal,", ["equal", ""]),
        ("x=1,equal", ["x=1", "equal"]),
    ],
)
def test_lists_are_split_between_choices(text, expected):
    expected = expected or ["crmogm:aggregator='cagrad:c=0.4,x=1',decay=0.5", "pcgrad"]
    assert split(text) == expected
