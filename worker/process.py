"""Where a process runs, so that its death can be told from a process of another container with the same names."""

import functools
import os
import socket
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")


@functools.cache
def place() -> str:
    """Host name, boot id and process-id namespace. Two processes with equal places see each other's process ids.

    Without /proc the last two are empty, and no process may conclude from a missing process id.
    """
    try:
        boot, namespace = _BOOT_ID.read_text().strip(), str(_PID_NAMESPACE.readlink())
    except OSError:
        boot = namespace = ""
    return f"{socket.gethostname()}/{boot}/{namespace}"


def is_gone(at: str | None, pid: int | None) -> bool:
    """Whether the process `pid` of a place is known to be dead. False where this process cannot see: the lease's
    time then decides."""
    if at != place() or at.endswith("//") or pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
