"""`python -m bench`: measures everything, prints the table, writes it to bench/results.json and the results page.
About twenty minutes."""

import argparse
import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench import api, bare, bulk, growth, images, interactive, large, loader, sleeping, small, start
from bench.peers import run as peers
from bench.table import Row, as_text, load, save
from shared.registry.artifact import Artifact
from tests.harness.marked_page import put_table

PARTS = ("bulk", "interactive", "small", "growth", "api", "start", "large", "loader", "sleeping", "peers")
_RESULTS = Path(__file__).parent / "results.json"
_PAGE = Path(__file__).parent.parent / "docs" / "performance" / "results.md"
_BULK = 10_000


def main() -> int:
    """Run the parts that were asked for; one that fails is named, and the others still run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all of them by default")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "gonogo-bench",
                        help="where images are kept between runs, and scratch lies")  # fmt: skip
    parser.add_argument("--peers-python", default=sys.executable, help="a Python that has the `bench` extra")
    parser.add_argument("--peer-seconds", type=float, default=5.0, help="of each peer's four settings")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--untrained", type=int, default=0, metavar="SIDE",
                        help="measure with an untrained network for images of this side")  # fmt: skip
    parser.add_argument("--no-save", action="store_true", help="leave both files alone")
    asked = parser.parse_args()
    wanted = asked.parts or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    asked.data.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    failed = []
    with tempfile.TemporaryDirectory(prefix="run-", dir=asked.data) as scratch:
        for name, part in _parts(asked, Path(scratch)).items():
            if name not in wanted:
                continue
            began = time.monotonic()
            try:
                made = part()
            except Exception as error:
                print(f"# {name} failed: {type(error).__name__}: {error}", flush=True)
                failed.append(name)
                continue
            print(f"# {name}: {time.monotonic() - began:.0f} s\n{as_text(made)}\n", flush=True)
            rows += made
            if not asked.no_save:
                save(made, _RESULTS)
    if not asked.no_save:
        put_table(_PAGE, as_text(load(_RESULTS)))
    print(as_text(rows))
    return 1 if failed else 0


def _parts(asked: argparse.Namespace, scratch: Path) -> dict[str, Callable[[], list[Row]]]:
    data = asked.data
    model = images.artifact(
        data, published="" if asked.untrained else "rendered-parts", size=asked.untrained or 128
    )
    parts_300 = images.rendered(data, 300)

    def in_bulk() -> list[Row]:
        rows = []
        for size in (300, 512):
            name, found = f"rendered parts at {size} px", images.rendered(data, size)
            rows += bulk_rows(name, model, found, scratch / f"bulk-{size}", repeats=asked.repeats, reach=0.85)
        if (cells := images.solar(data)) is not None:
            small = model if asked.untrained else images.artifact(data, published="solar-modules", size=40)
            rows += bulk_rows("solar modules", small, cells, scratch / "bulk-solar", repeats=asked.repeats)
        return rows

    def in_person() -> list[Row]:
        folder = images.folder_of(parts_300, _BULK, scratch / "interactive" / "in")
        with bulk.service(scratch / "interactive" / "stack", model.path) as stack:
            return interactive.measure(stack, model, parts_300, folder, _BULK)

    def in_small_pieces() -> list[Row]:
        with bulk.service(scratch / "small-stack", model.path) as stack:
            return small.measure(stack, parts_300)

    def in_growth() -> list[Row]:
        with bulk.service(scratch / "growth-stack", model.path) as stack:
            return growth.measure(stack, parts_300, scratch / "growth")

    def asleep() -> list[Row]:
        rows = sleeping.measure("rendered parts at 300 px", model, parts_300, scratch / "asleep-300", _BULK)
        if (cells := images.solar(data)) is not None:
            small = images.artifact(data, published="solar-modules", size=40)
            rows += sleeping.measure("solar modules", small, cells, scratch / "asleep-solar", _BULK)
        return rows

    def with_peers() -> list[Row]:
        folder = images.folder_of(parts_300, _BULK, scratch / "peers-in")
        with (
            bare.BareLoop(model.path, processes=2, threads=1) as loop,
            bulk.service(scratch / "peers-stack", model.path) as stack,
        ):
            bulk.submit(stack, folder, _BULK)
            rows: list[Row] = []
            for number, peer in enumerate(peers.PEERS):
                # Right before each peer, since a machine that others use changes within minutes.
                rows += peers.measure(
                    peer, asked.peers_python, model.path, parts_300, scratch / f"peer-{number}",
                    bare=loop.run(parts_300, _BULK), ours=bulk.submit(stack, folder, _BULK).speed,
                    seconds=asked.peer_seconds,
                )  # fmt: skip
                print(*as_text(rows[-1:]).splitlines()[2:], flush=True)
                if not asked.no_save:
                    save(rows, _RESULTS)
        return rows

    return {
        "bulk": in_bulk,
        "interactive": in_person,
        "small": in_small_pieces,
        "growth": in_growth,
        "api": lambda: api.measure(scratch / "api", model.path),
        "start": lambda: start.measure(scratch / "up"),
        "large": lambda: large.measure(model, images.rendered(data, 512)),
        "loader": lambda: loader.measure(parts_300),
        "sleeping": asleep,
        "peers": with_peers,
    }


def bulk_rows(
    name: str, model: Artifact, found: list[Path], scratch: Path, *, repeats: int, reach: float | None = None,
    count: int = _BULK,
) -> list[Row]:  # fmt: skip
    """The bare loop against its yardstick, and submissions against bare loops, all in turns: a shared machine's speed
    drifts within a minute, so each is compared with what ran right before and after it."""
    speeds = bare.fastest(model.path, found, 2000)
    processes, threads = (int(number) for number in max(speeds, key=lambda cell: speeds[cell]).split("x"))
    folder = images.folder_of(found, count, scratch / "in")
    yardstick = bare.Yardstick(model.path, found)
    alone, loops, runs = [yardstick.measure()], [], []
    with (
        bare.BareLoop(model.path, processes=processes, threads=threads) as loop,
        bulk.service(scratch / "stack", model.path) as stack,
    ):
        bulk.submit(stack, folder, count)
        for turn in range(repeats + 1):
            loops.append(loop.measure(found, count))
            alone.append(yardstick.measure())
            if turn < repeats:
                runs.append(bulk.submit(stack, folder, count))
    cells = ", ".join(f"{cell} {speed:.0f}" for cell, speed in speeds.items())
    spent = {part: _median([run.cpu_ms[part] for run in runs]) for part in runs[0].cpu_ms}
    note = "CPU ms an image: " + ", ".join(f"{part} {ms:.3f}" for part, ms in spent.items() if ms >= 0.002)
    bare_speeds, bare_ms = [each.speed for each in loops], [each.cpu_ms for each in loops]
    ours, ours_ms = [run.speed for run in runs], [sum(run.cpu_ms.values()) for run in runs]
    limits = [each.ceiling for each in alone]
    decode_ms, infer_ms = (
        _median([getattr(each, part) for each in alone]) for part in ("decode_ms", "infer_ms")
    )
    return [
        Row(f"bare loop, {name}", _median(bare_speeds), "images/s", ratio=_share(bare_speeds, limits), reach=0.95,
            note=f"processes x threads {cells}; decode {decode_ms:.3f} + infer {infer_ms:.3f} ms"),
        Row(f"bulk, {name}: share of bare", _median(ours), "images/s", ratio=_share(ours, bare_speeds), ceiling=1.0,
            reach=reach, note=note),
        Row(f"bulk, {name}: bare CPU over all CPU", sum(spent.values()), "ms an image",
            ratio=1 / _share(ours_ms, bare_ms), note=f"bare {_median(bare_ms):.3f} ms"),
    ]  # fmt: skip


def _share(values: Sequence[float], around: Sequence[float]) -> float:
    """The median share that each value has of the mean of the two of `around` that were taken before and after it."""
    before_and_after = itertools.pairwise(around)
    return _median([value / _mean(pair) for value, pair in zip(values, before_and_after, strict=True)])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


if __name__ == "__main__":
    sys.exit(main())
