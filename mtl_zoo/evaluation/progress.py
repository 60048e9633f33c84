"""What a study tells while it runs: a line per job, and how long the rest may take."""

import sys
import time

WIDTH = 30


class Progress:
    """Prints to stderr which job ended how, and an estimate of the time that is left.

    Args:
        total: Number of all jobs.
        quiet: Whether to print nothing. Defaults to `False`.
    """

    def __init__(self, total, quiet=False):
        self.total, self.quiet = total, quiet
        self.done = self.done_before = 0
        self._began = time.monotonic()

    def skip(self, number):
        """Count jobs that were done before, or will not be done."""
        self.done += number
        self.done_before += number

    def __call__(self, job):
        """Count a job and print how it ended."""
        self.done += 1
        if self.quiet:
            return
        is_terminal = sys.stderr.isatty()
        ended = "done" if job.is_done else f"FAILED, {job.cell.failure}"
        line = f"[{self.done}/{self.total}] {job.label}: {ended}"
        left = f"about {duration(self._seconds_left())} left"
        print(f"\r\033[K{line}" if is_terminal else f"{line}; {left}", file=sys.stderr, flush=True)
        if is_terminal:
            filled = WIDTH * self.done // self.total
            bar = f"[{'=' * filled}{'.' * (WIDTH - filled)}] {left}"
            print(bar, end="" if self.done < self.total else "\n", file=sys.stderr, flush=True)

    def _seconds_left(self):
        """Return the estimate, by the mean time of the jobs of this process."""
        mean = (time.monotonic() - self._began) / (self.done - self.done_before)
        return mean * (self.total - self.done)


def duration(seconds):
    """Return a duration in words.

    Example:

    >>> duration(40), duration(1000), duration(10_000)
    ('40 s', '17 min', '2.8 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
