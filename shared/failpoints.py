"""Failpoints: faults that a test injects through the environment; without it they cost nothing.

`GONOGO_FAILPOINTS="name=action*times;name:key=action"`, actions: kill (SIGKILL of this process), hang, memory
(MemoryError), full (ENOSPC), sleep0.2 (seconds, so that a test can act meanwhile). `GONOGO_FAILPOINTS_DIR` gets a
file each time a failpoint fires, which counts over all processes and proves that the fault happened.
"""

import errno
import os
import signal
import time
from pathlib import Path


def parse(text: str) -> dict[str, tuple[str, int]]:
    points = {}
    for entry in filter(None, text.split(";")):
        name, _, rest = entry.partition("=")
        action, _, times = rest.partition("*")
        points[name] = (action, int(times or 1_000_000))
    return points


_POINTS = parse(os.environ.get("GONOGO_FAILPOINTS", ""))
_FOLDER = Path(os.environ.get("GONOGO_FAILPOINTS_DIR", "."))
_taken: dict[str, int] = {}  # turns that this process has found taken


def hit(name: str, key: str | None = None) -> None:
    """Act as the environment asks for this point: not at all, unless a test has set it."""
    if not _POINTS:
        return
    for point in (name, f"{name}:{key}"):
        action, times = _POINTS.get(point, ("", 0))
        if action and _take_turn(point, times):
            _act(action)


def _take_turn(point: str, times: int) -> bool:
    for turn in range(_taken.get(point, 0), times):
        _taken[point] = turn + 1
        try:
            (_FOLDER / f"{point.replace(':', '-')}.{turn}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def _act(action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hang":
        while True:
            time.sleep(3600)
    elif action.startswith("sleep"):
        time.sleep(float(action.removeprefix("sleep")))
    elif action == "memory":
        raise MemoryError("failpoint")
    elif action == "full":
        raise OSError(errno.ENOSPC, "failpoint")
    else:
        raise ValueError(f"unknown failpoint action {action!r}")
