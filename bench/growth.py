"""Growth: 100,000 images against 1,000 in one stack: as fast, and in the same memory."""

from pathlib import Path

import numpy as np

from bench import bulk, cpu
from bench.images import folder_of
from bench.table import Row
from tests.harness.stack import Stack

SMALL = 1000


def measure(stack: Stack, images: list[Path], folder: Path, *, large: int = 100_000) -> list[Row]:
    """Throughput of one large submission over the median of small ones before and after it; growth of memory.

    Images repeat on disk, rows do not.
    """
    few = folder_of(images, SMALL, folder / "few")
    many = folder_of(images, large, folder / "many")
    small = [bulk.submit(stack, few, SMALL).speed for _ in range(4)]
    before = _memory(stack)
    run = bulk.submit(stack, many, large)
    grown = {name: size - before[name] for name, size in _memory(stack).items()}
    small += [bulk.submit(stack, few, SMALL).speed for _ in range(3)]
    base = float(np.median(small))
    note = ", ".join(
        f"{name} {before[name] / 2**20:.0f} MB {grown[name] / 2**20:+.0f}" for name in ("web", "bulk")
    )
    return [
        Row(
            f"growth: {large:,} images against {SMALL:,}", run.speed, "images/s", ratio=run.speed / base, reach=0.95
        ),
        Row("growth: memory of web and workers after it", max(grown["web"], grown["bulk"]) / 2**20, "MB", note=note),
    ]  # fmt: skip


def _memory(stack: Stack) -> dict[str, int]:
    return {name: cpu.resident_bytes(cpu.family(process.pid)) for name, process in stack.processes.items()}
