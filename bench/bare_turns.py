"""`python -m bench.bare_turns OLD_DIR NEW_DIR`: the bare loops of two checkouts, each with its own shipped models.

The two run in turns in one run, each turn of a checkout between two of the other, since a shared machine's speed
drifts within a minute. Prints for each set of images how many times faster the new checkout is, by wall clock and by
CPU time.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any


class _Side:
    """A checkout: its bare loops run in a process of their own, with its modules."""

    def __init__(self, root: Path, sets: dict[str, Any], count: int) -> None:
        self.root = root
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--child"],
            cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._ask(json.dumps({"sets": sets, "count": count}))  # too long for a command line

    def measure(self, name: str) -> dict[str, float]:
        """Images a second and CPU milliseconds an image of one run of the loop."""
        return self._ask(name)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _ask(self, line: str) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.root}: the bare loop ended, see its error above")
        return dict(json.loads(line))


def _child(asked: dict[str, Any]) -> None:
    """Answer with a run of the loop for each name on stdin, with the modules and models of the working directory."""
    from bench.bare import BareLoop

    loops = {}
    for name, each in asked["sets"].items():
        model = next(Path.cwd().glob(f"shared/**/published/{each['model']}/{each['model']}.gonogo"))
        loops[name] = BareLoop(model, processes=2, threads=1)
    print(json.dumps({"ready": 1}), flush=True)
    for line in sys.stdin:
        name = line.strip()
        images = [Path(path) for path in asked["sets"][name]["images"]]
        run = loops[name].measure(images, asked["count"])
        print(json.dumps({"speed": run.speed, "cpu_ms": run.cpu_ms}), flush=True)
    for loop in loops.values():
        loop.__exit__()


def _sets(data: Path) -> dict[str, Any]:
    from bench import images

    found = {
        "rendered parts at 300 px": ("rendered-parts", images.rendered(data, 300)),
        "rendered parts at 512 px": ("rendered-parts", images.rendered(data, 512)),
    }
    if (cells := images.solar(data)) is not None:
        found["solar modules"] = ("solar-modules", cells)
    return {
        name: {"model": model, "images": [str(path) for path in paths]}
        for name, (model, paths) in found.items()
    }


def main() -> int:
    """Print a row for each set: the median ratio of each new turn to the mean of the two old ones around it."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare_turns", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=2000, help="in one turn")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "gonogo-bench")
    asked = parser.parse_args()
    asked.data.mkdir(parents=True, exist_ok=True)
    sets = _sets(asked.data)
    old, new = (_Side(root.resolve(), sets, asked.images) for root in (asked.old, asked.new))
    try:
        print("| bare loop | old, images/s | new, images/s | new over old | by CPU time | each turn |")
        print("|---|---|---|---|---|---|")
        for name in sets:
            for side in (old, new):  # the first run reads the files and warms the engine up
                side.measure(name)
            before = [old.measure(name)]
            after = []
            for _ in range(asked.rounds):
                after.append(new.measure(name))
                before.append(old.measure(name))
            print(_row(name, before, after), flush=True)
    finally:
        for side in (old, new):
            side.close()
    return 0


def _row(name: str, before: list[dict[str, float]], after: list[dict[str, float]]) -> str:
    def ratios(key: str) -> list[float]:
        around = [(one[key] + other[key]) / 2 for one, other in itertools.pairwise(before)]
        return [each[key] / mean for each, mean in zip(after, around, strict=True)]

    faster, cheaper = ratios("speed"), [1 / ratio for ratio in ratios("cpu_ms")]
    speeds = [f"{median(run['speed'] for run in runs):,.0f}" for runs in (before, after)]
    turns = ", ".join(f"{ratio:.2f}" for ratio in faster)
    return f"| {name} | {speeds[0]} | {speeds[1]} | {median(faster):.2f} | {median(cheaper):.2f} | {turns} |"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(json.loads(sys.stdin.readline()))
    else:
        sys.exit(main())
