import io
import sys
from types import SimpleNamespace

from mtl_zoo.evaluation import progress


def job(label, failure=None):
    return SimpleNamespace(label=label, is_done=failure is None, cell=SimpleNamespace(failure=failure))


def test_a_line_per_job_and_what_is_left(monkeypatch, capsys):
    clock = iter([0.0, 30.0, 90.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    report = progress.Progress(8)
    report.skip(2)
    report(job("a"))
    report(job("b", "train: killed by SIGKILL"))
    assert capsys.readouterr().err.splitlines() == [
        "[3/8] a: done; about 2 min left",  # five times 30 s
        "[4/8] b: FAILED, train: killed by SIGKILL; about 3 min left",  # four times 45 s
    ]


def test_a_bar_in_a_terminal(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    report = progress.Progress(2)
    report(job("a"))
    report(job("b"))
    lines = terminal.getvalue().split("\n")
    assert lines[0] == "\r\033[K[1/2] a: done"
    assert lines[1].startswith(f"[{'=' * 15}{'.' * 15}] about 0 s left\r")
    assert lines[2] == f"[{'=' * 30}] about 0 s left"


def test_quiet(capsys):
    progress.Progress(1, quiet=True)(job("a"))
    assert capsys.readouterr().err == ""
