"""Many cells at once: each job in a process of its own, whose failure is its own too."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import threading
from typing import NamedTuple

from mtl_zoo import files
from mtl_zoo.evaluation.cell import FAILED, RECIPE, Cell

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
PATIENCE = 60  # seconds in which an interrupted training saves where it is
INTERRUPTED = "interrupted; run the same command again to go on"


class Job(NamedTuple):
    """What is to be done in a cell.

    Args:
        cell: `Cell`.
        kind: `"train"`, `"test"` or `"probe"`.
        label: What people read of it.
    """

    cell: Cell
    kind: str
    label: str

    @property
    def is_done(self):
        """Whether it need not be done again."""
        return self.cell.has(self.kind)


class Workers:
    """Does jobs in cells, several at once, each with its share of the processors.

    Args:
        number: How many at once.
    """

    def __init__(self, number):
        self.number = number
        self._running = {}
        self._ending = threading.Event()

    def do(self, jobs, report):
        """Do jobs; a failure is written to the cell's directory, and the rest goes on.

        Args:
            jobs: Sequence of `Job`.
            report: Function of a `Job`, called after each.

        Raises:
            KeyboardInterrupt: If this process is interrupted; the others have been ended then.
        """
        with concurrent.futures.ThreadPoolExecutor(self.number) as pool:
            futures = {pool.submit(self._do, job): job for job in jobs}
            try:
                for future in _ended(futures):
                    future.result()
                    report(futures[future])
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                self._end()
                if isinstance(error, KeyboardInterrupt):
                    error.args = (INTERRUPTED,)
                raise

    def _do(self, job):
        cell = job.cell
        cell.path.mkdir(parents=True, exist_ok=True)
        cell.recipe.write(cell.path / RECIPE)
        (cell.path / FAILED).unlink(missing_ok=True)
        with cell.log(job.kind).open("wb") as log:
            code = self._wait(_command(job), log)
        if code and not self._ending.is_set():
            with files.replaced(cell.path / FAILED) as partial:
                partial.write_text(f"{job.kind}: {_reason(job, code)}\n", "utf-8")

    def _wait(self, command, log):
        """Run a process to its end; return its exit code."""
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # by whose end it knows of ours
            stdout=log,
            stderr=log,
            env=self._environment(),
            start_new_session=True,  # Ctrl-C reaches us alone
        ) as process:
            self._running[process.pid] = process
            if self._ending.is_set():
                process.terminate()
            code = process.wait()
            del self._running[process.pid]
        return code

    def _end(self):
        """Have all processes that are left save where they are, and end."""
        self._ending.set()
        for process in list(self._running.values()):
            process.terminate()
        for process in list(self._running.values()):
            try:
                process.wait(PATIENCE)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                process.kill()

    def _environment(self):
        share = str(max(1, len(_processors()) // self.number))
        places = [str(pathlib.Path(files.__file__).parents[1]), os.environ.get("PYTHONPATH")]
        path = os.pathsep.join(filter(None, places))
        return {**dict.fromkeys(THREADS, share), **os.environ, "PYTHONPATH": path}


def _ended(futures):
    """Yield futures as they end; look up every second, since a signal may have reached another thread."""
    left = set(futures)
    while left:
        ended, left = concurrent.futures.wait(left, 1.0, concurrent.futures.FIRST_COMPLETED)
        yield from ended


def _processors():
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def _command(job):
    return [sys.executable, "-m", "mtl_zoo.evaluation.work", str(job.cell.path), job.kind]


def _reason(job, code):
    """Return in one line why a process failed."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = job.cell.log(job.kind).read_text("utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")
