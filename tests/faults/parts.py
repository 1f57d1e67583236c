"""The parts of a whole run. Most rows wait far more than they compute, so two parts run at the same time; rows that
measure speed or memory run alone, after them."""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import ROOT

PARTS_OF_VIEWS = 46  # each of its tests is that of another row, too
SECOND = {9, 12, 16, 18, 19, 20, 26, 29, 34, 35, 36, 43, 45}
ALONE = {17, 37, 39, 40, 44}
# Garbage that one row left would turn the row red that runs when it is collected.
OPTIONS = ["-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]


@dataclass
class Row:
    """Results of the tests of a row, over both databases."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: int = 0
    seconds: float = 0.0
    saw: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: "Row") -> None:
        """Add what another part saw of the row."""
        self.passed += other.passed
        self.skipped += other.skipped
        self.seconds += other.seconds
        self.failed += other.failed
        self.saw += other.saw


def part_of(rows: Iterable[int]) -> str:
    """The part in which a test of these rows runs."""
    number = min({*rows} - {PARTS_OF_VIEWS})
    return "alone" if number in ALONE else "second" if number in SECOND else "first"


class Collector:
    """A pytest plugin that keeps the tests of one part, all without one, and sorts outcomes by row."""

    def __init__(self, part: str = "") -> None:
        self.rows: defaultdict[int, Row] = defaultdict(Row)
        self._part = part
        self._numbers: dict[str, list[int]] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        for item in items:
            self._numbers[item.nodeid] = [mark.args[0] for mark in item.iter_markers("row")]
        if self._part:
            marked = [item for item in items if self._numbers[item.nodeid]]
            kept = [item for item in marked if part_of(self._numbers[item.nodeid]) == self._part]
            config.hook.pytest_deselected(items=[item for item in items if item not in kept])
            items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for number in self._numbers[report.nodeid]:
            row = self.rows[number]
            row.seconds += report.duration
            if report.when == "call" and report.passed:
                row.passed += 1
            elif report.skipped:
                row.skipped += 1
            elif report.failed:
                row.failed.append(report.nodeid)
            if report.when == "teardown":
                row.saw += [json.loads(str(value)) for key, value in report.user_properties if key == "saw"]


def run_part(part: str, told: Path) -> int:
    """Run one part in this process, and write its rows as JSON."""
    collector = Collector(part)
    try:
        return int(pytest.main(["tests", "-m", "row", *OPTIONS], plugins=[collector]))
    finally:
        told.write_text(json.dumps({number: asdict(row) for number, row in collector.rows.items()}))


def run_all() -> tuple[dict[int, Row], int]:
    """Every row, and the worst exit code of the parts."""
    rows: defaultdict[int, Row] = defaultdict(Row)
    worst = 0
    with tempfile.TemporaryDirectory() as name:
        for at_once in (("first", "second"), ("alone",)):
            running = {part: _start(part, Path(name)) for part in at_once}
            for part, process in running.items():
                worst = max(worst, process.wait())
                sys.stdout.write((Path(name) / f"{part}.log").read_text())
                sys.stdout.flush()
                rows_of_part = Path(name) / part
                if not rows_of_part.exists():  # the process of the part was killed
                    worst = max(worst, 1)
                    continue
                for number, told in json.loads(rows_of_part.read_text()).items():
                    rows[int(number)].add(Row(**told))
    return dict(rows), worst


def _start(part: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.faults", "part", part, str(folder / part)]
    with (folder / f"{part}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
