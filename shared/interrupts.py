"""How signals end a program: without a traceback while it starts, and without scratch files while it works."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def end_at_once() -> bool:
    """Let SIGINT end this process without a word, as SIGTERM does, until the program handles it.

    Does nothing and returns False if SIGINT has another handler than Python's own: `nohup` has it ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:  # not the main thread, which no KeyboardInterrupt reaches
        return False
    return True


@contextmanager
def ending_at_once() -> Iterator[None]:
    """`end_at_once` for the length of an import: a library may turn a KeyboardInterrupt into an ImportError."""
    changed = end_at_once()
    try:
        yield
    finally:
        if changed:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_on_sigterm() -> None:
    """Let SIGTERM end this process as an exception does, so that it removes its scratch files; the exit status is
    143."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
