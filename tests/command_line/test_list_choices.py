from mtl_zoo.command_line import main as cli


def test_list(capsys):
    assert cli.main(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    tiny = "tiny fault=None,at=train synthetic; 12,000 examples; tasks: kind, size; licence: free; embedded"
    assert [*tiny.split(), "Numbers."] in lines
    assert ["--aggregator="] in lines
    assert "https://arxiv.org/abs/2001.06782" in next(line for line in lines if line[0] == "pcgrad")
