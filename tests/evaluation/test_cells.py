import os
import signal
import sys
import threading
import time

import pytest

from mtl_zoo.evaluation import cells
from mtl_zoo.evaluation.cells import Job, Workers
from tests.evaluation.harness import study_of

WRITES = "import pathlib, sys, os; pathlib.Path(sys.argv[1], {name!r}).write_text({content})"
WAITS = """
import pathlib, signal, sys, time
def save(*_):
    pathlib.Path(sys.argv[1], "saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
pathlib.Path(sys.argv[1], "began").touch()
time.sleep(60)
"""


@pytest.fixture
def jobs(tmp_path):
    return study_of(tmp_path).tuning()[:3]


@pytest.fixture
def does(monkeypatch):
    """Return a function that has jobs run a program instead."""

    def do(program):
        command = lambda job: [sys.executable, "-c", program, str(job.cell.path)]  # noqa: E731
        monkeypatch.setattr(cells, "_command", command)

    return do


def test_a_failure_is_its_own_and_has_a_reason(jobs, does):
    does(
        "import os, sys\n"
        f"if {jobs[0].cell.path.name!r} in sys.argv[1]: sys.exit('first\\nThe loss must be finite.\\n')\n"
        f"if {jobs[1].cell.path.name!r} in sys.argv[1]: os.kill(os.getpid(), 9)\n"
    )
    reported = []
    Workers(2).do(jobs, reported.append)
    assert sorted(job.label for job in reported) == sorted(job.label for job in jobs)
    assert [job.cell.failure for job in jobs] == [
        "train: The loss must be finite.",
        "train: killed by SIGKILL",
        None,
    ]
    assert jobs[0].cell.log("train").read_text() == "first\nThe loss must be finite.\n\n"
    does("")
    Workers(1).do(jobs, reported.append)
    assert [job.cell.failure for job in jobs] == [None] * 3


def test_a_silent_failure_has_its_code(jobs, does):
    does("import sys; sys.exit(7)")
    Workers(1).do(jobs[:1], lambda job: None)
    assert jobs[0].cell.failure == "train: exit code 7"


def test_processors_are_shared(jobs, does, monkeypatch):
    monkeypatch.setattr(cells, "_processors", lambda: range(8))
    does(WRITES.format(name="threads", content="os.environ['TF_NUM_INTRAOP_THREADS']"))
    Workers(3).do(jobs, lambda job: None)
    assert [(job.cell.path / "threads").read_text() for job in jobs] == ["2"] * 3
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")  # what a user says counts
    Workers(1).do(jobs[:1], lambda job: None)
    assert (jobs[0].cell.path / "threads").read_text() == "5"


def test_an_interruption_ends_all_and_starts_no_more(jobs, does):
    does(WAITS)
    pool = Workers(2)

    def interrupt():
        while sum((job.cell.path / "began").exists() for job in jobs) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt, match="run the same command again to go on"):
        pool.do(jobs, lambda job: None)
    assert [(job.cell.path / "saved").exists() for job in jobs] == [True, True, False]
    assert not jobs[2].cell.path.exists()
    assert [job.cell.failure for job in jobs] == [None] * 3


def test_the_command_is_one_that_trains(jobs):
    command = cells._command(Job(jobs[0].cell, "test", ""))
    assert command[1:] == ["-m", "mtl_zoo.evaluation.work", os.fspath(jobs[0].cell.path), "test"]
