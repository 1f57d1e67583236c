"""Bounds one process's memory, so that a costly image fails by itself instead of the whole machine."""

import logging
import resource
import sys
from pathlib import Path

log = logging.getLogger(__name__)


def bound_growth(by: int) -> None:
    """Let this process's own data grow by so many bytes from now on; 0 sets no bound.

    Beyond it an allocation fails: as MemoryError in a decoder, which fails the item, and as an error of the engine,
    which halves the micro-batch. RLIMIT_DATA counts private memory only, not mapped files or address space.
    """
    if by == 0 or sys.platform != "linux":
        return
    limit = _data_bytes() + by
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    log.info("memory is bounded at %d MiB of data", limit // 2**20)


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
