import re

from mtl_zoo.command_line import main as cli
from mtl_zoo.command_line.list_choices import STARTS
from mtl_zoo.experiments.names import exported
from mtl_zoo.experiments.recipe import FIELDS


def test_list(capsys):
    assert cli.main(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    tiny = "tiny fault=None,at=train synthetic; 12,000 examples; tasks: kind, size; licence: free; embedded"
    assert [*tiny.split(), "Numbers."] in lines
    assert ["--aggregator="] in lines
    assert "https://arxiv.org/abs/2001.06782" in next(line for line in lines if line[0] == "pcgrad")


def test_where_to_start_are_choices_there_are(capsys):
    assert cli.main(["list"]) == 0
    *_, start = capsys.readouterr().out.partition("Where to start:\n")
    assert len(start.splitlines()) == len(STARTS)
    for _, flags, _ in STARTS:
        for kind, names in re.findall(r"--(architecture|balancer|aggregator)=(\w+(?: or \w+)?)", flags):
            assert set(names.split(" or ")) <= set(exported(kind))
        for flag in re.findall(r"--(\w+)", flags):
            assert flag == "methods" or flag in FIELDS
