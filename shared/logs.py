"""Logs: a line for each event to stderr, time in UTC, control characters of foreign text made visible."""

import logging
import re
import sys
import time

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed


class _Line(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line = _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", super().format(record))
        # A filename or path may hold a line break that would forge a log line; a traceback keeps its line breaks.
        first, *rest = line.split("\n")
        return "\n    ".join([first, *rest])


def configure(level: str) -> None:
    """Log to stderr at this level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Line("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A line per task is a line per chunk: cost and noise, while the rows say what happened to each item.
    for noisy in ("alembic", "celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def log_requests_as(
    log: logging.Logger, method: str, path: str, status: int, started: float | None, request_id: str
) -> None:
    """A line for a request; cheap where the level hides it."""
    if log.isEnabledFor(logging.DEBUG) or status >= 500:
        took = 0.0 if started is None else 1000 * (time.perf_counter() - started)
        level = logging.WARNING if status >= 500 else logging.DEBUG
        log.log(level, "%s %r %d %.1f ms %s", method, path, status, took, request_id)
