"""`python -m bench.turns OLD_DIR NEW_DIR`: two checkouts measured in turns, in one run on one machine.

A shared machine's speed drifts within a minute, so each submission is compared with the bare loop of its own checkout
right before and after it, and the two checkouts alternate.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench import images
from tests.harness.broker import start_valkey

_CHILD = Path(__file__).with_name("turns_child.py")


class Side:
    """A checkout: its service and its bare loop run in a process of their own."""

    def __init__(self, root: Path, scratch: Path, **asked: Any) -> None:
        scratch.mkdir()
        self.root = root
        self.shares: list[float] = []
        self.guarded: list[float] = []
        self.bulk: list[float] = []
        self.cpu_ms: list[float] = []
        self._log = scratch / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD), json.dumps({"scratch": str(scratch), **asked})],
                cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._answer()

    def ask(self, what: str) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._answer()

    def turn(self) -> None:
        """A submission between two bare loops, and two bare loops with the guard."""
        before, guarded_before = self.ask("bare")["speed"], self.ask("guarded")["speed"]
        run = self.ask("bulk")
        guarded_after, after = self.ask("guarded")["speed"], self.ask("bare")["speed"]
        self.shares.append(2 * run["speed"] / (before + after))
        self.guarded.append(2 * run["speed"] / (guarded_before + guarded_after))
        self.bulk.append(run["speed"])
        self.cpu_ms.append(run["cpu_ms"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(120)

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.root}: {self._log.read_text()[-2000:]}")
        return dict(json.loads(line))


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[str]:
    server = start_valkey(folder, folder / "v.sock")
    try:
        yield f"unix://{folder / 'v.sock'}"
    finally:
        server.terminate()
        server.wait(20)


def main() -> int:
    """Print both checkouts' figures side by side."""
    parser = argparse.ArgumentParser(prog="python -m bench.turns", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=5000, help="in one submission")
    parser.add_argument("--side", type=int, default=300, help="pixels of an image's side")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "gonogo-bench")
    asked = parser.parse_args()
    asked.data.mkdir(parents=True, exist_ok=True)
    found = [str(path) for path in images.rendered(asked.data, asked.side)]
    with (
        tempfile.TemporaryDirectory(prefix="turns-", dir=asked.data) as folder,
        _broker(Path(folder)) as broker,
        contextlib.ExitStack() as closing,
    ):
        sides = []
        for name, root in (("old", asked.old), ("new", asked.new)):
            side = Side(root.resolve(), Path(folder) / name, data=str(asked.data), images=found, count=asked.images,
                        broker=broker)  # fmt: skip
            closing.callback(side.close)
            sides.append(side)
        for number in range(asked.rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                side.turn()
                print(f"# round {number + 1}, {side.root}: {side.shares[-1]:.3f} of bare", flush=True)
        costs = [side.ask("costs") for side in sides]
    print(_table(sides, costs))
    return 0


def _table(sides: list[Side], costs: list[dict[str, float]]) -> str:
    rows = [
        ("bulk, share of bare (median)", [f"{median(side.shares):.3f}" for side in sides]),
        ("bulk, share of bare (each round)", [", ".join(f"{each:.3f}" for each in side.shares) for side in sides]),
        ("bulk, share of bare with the guard (median)", [f"{median(side.guarded):.3f}" for side in sides]),
        ("bulk, images/s (median)", [f"{median(side.bulk):.0f}" for side in sides]),
        ("bulk, CPU ms per image (median)", [f"{median(side.cpu_ms):.3f}" for side in sides]),
        *((f"{name} per chunk" if name != "chunks" else name, [f"{cost[name]:.2f}" for cost in costs])
          for name in costs[0]),
    ]  # fmt: skip
    lines = [f"| | {sides[0].root} | {sides[1].root} |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {old} | {new} |" for name, (old, new) in rows)])


if __name__ == "__main__":
    sys.exit(main())
