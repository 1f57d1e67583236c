"""Lines for a person who waits, and a progress bar at a terminal; no bar where the output goes to a file."""

import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]
Progress = Callable[[int, int], None]

_WIDTH = 30
_EVERY_S = 0.2


class Bar:
    """Called with (done, total) as often as one likes; drawn a few times a second on one line of stderr."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next = 0.0
        self._drawn = False

    def __call__(self, done: int, total: int) -> None:
        if not self._shown or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_S
        full = _WIDTH * done // max(1, total)
        sys.stderr.write(f"\r[{'#' * full}{'.' * (_WIDTH - full)}] {done}/{total} ")
        sys.stderr.flush()
        self._drawn = True

    def say(self, line: str) -> None:
        """Print a line where the bar was."""
        if self._drawn:
            sys.stderr.write("\r" + " " * (_WIDTH + 24) + "\r")
            self._drawn = False
        print(line, flush=True)


def no_progress(done: int, total: int) -> None:
    """For those who do not look."""
