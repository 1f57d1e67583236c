"""Runs the rows and prints what each saw: recovery next to its goal, extra inferences, the proof of the fault."""

import os
import re
import subprocess
import sys
import time

import pytest

from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.parts import OPTIONS, Collector, Row, run_all
from tests.faults.table import ROWS
from tests.harness.hooks import child_environment
from tests.harness.marked_page import put_table
from tests.harness.processes import ROOT

_HEADING = re.compile(r"_+ (?:ERROR at \w+ of )?(\w+)\S* _+")  # of a test that failed
TABLE = ROOT / "docs" / "faults.md"
_HEAD = (
    "| # | fault | tests | time | lost | doubled | extra inferences | back at work (reach) "
    "| how it is known to have fired |"
)


def run(arguments: list[str]) -> int:
    """All rows, or those that `arguments` pick; writes docs/faults.md where all were run."""
    started = time.monotonic()
    if arguments:
        collector = Collector()
        code = int(pytest.main([*arguments, "-m", "row", *OPTIONS], plugins=[collector]))
        rows: dict[int, Row] = collector.rows
    else:
        rows, code = run_all()
    lines = table(rows)
    minutes = (time.monotonic() - started) / 60
    failed = sum(bool(row.failed) for row in rows.values())
    summary = f"{len(rows)} rows, {failed} red, {minutes:.1f} minutes on {os.cpu_count()} cores."
    sys.stdout.write("\n".join([*lines, "", summary, ""]))
    if not arguments:
        write(lines, summary)
    return code


def table(rows: dict[int, Row]) -> list[str]:
    """The table in Markdown."""
    lines = [_HEAD, "|---" * 9 + "|"]
    for number in sorted(rows):
        row = rows[number]
        state = (
            f"{len(row.failed)} of {row.passed + len(row.failed)} RED"
            if row.failed
            else f"{row.passed} green"
        )
        if row.skipped:
            state += f", {row.skipped} skipped"
        proofs = dict.fromkeys(f"{saw['fired']}" for saw in row.saw if saw.get("fired"))
        elsewhere = "" if row.saw else "in its own tests"
        cells = [
            str(number), ROWS[number], state, f"{row.seconds:.0f} s",
            _sum(row, "lost"), _sum(row, "doubled"), _sum(row, "extra"), _recovery(row), "; ".join(proofs) or elsewhere,
        ]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return lines


def _sum(row: Row, name: str) -> str:
    seen = [saw[name] for saw in row.saw if name in saw]
    return str(sum(seen)) if seen else ""


def _recovery(row: Row) -> str:
    seen = [saw for saw in row.saw if "recovery_s" in saw]
    if not seen:
        return ""
    times = sorted(saw["recovery_s"] for saw in seen)
    spread = f"{times[0]}" if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
    return f"{spread} s ({max(saw['reach_s'] for saw in seen):g} s)"


def write(lines: list[str], summary: str) -> None:
    """Put the table between the marks of docs/faults.md."""
    put_table(TABLE, "\n".join([*lines, "", summary]))


def run_mutants(names: list[str]) -> int:
    """Take out one mechanism after another and run its row: something must turn red."""
    unseen = []
    for name in names or list(MUTANTS):
        red, green = _run_mutant(name, MUTANTS[name])
        told = "; ".join(f"{test} ({why})" for test, why in red.items())
        sys.stdout.write(
            f"row {MUTANTS[name].row} without {name}: red {told or 'NONE'}; green {', '.join(green) or 'none'}\n"
        )
        sys.stdout.flush()
        if not red:
            unseen.append(name)
    return 1 if unseen else 0


def _run_mutant(name: str, mutant: Mutant) -> tuple[dict[str, str], list[str]]:
    """The tests that turned red, with the beginning of the reason of each, and those that stayed green."""
    environment = {
        **os.environ,
        **child_environment("tests.faults.mutants:apply", FAULTS_MUTANT=name),
    }
    command = [
        sys.executable, "-m", "pytest", *mutant.where, "-q", "-rA", "--no-header", "--tb=short",
        "-p", "no:cacheprovider", "-k", mutant.tests,
        # A mutant imports what it changes, which may be a plugin of pytest, before pytest begins.
        "-W", "ignore::pytest.PytestAssertRewriteWarning",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    red, green, failing = dict[str, str](), set[str](), ""
    for line in done.stdout.splitlines():
        state, _, told = line.partition(" ")
        if heading := _HEADING.fullmatch(line):
            failing = heading[1]
        elif state == "E" and failing:
            red.setdefault(failing, told.strip()[:100])
        elif state in ("PASSED", "FAILED", "ERROR"):
            test = told.partition("::")[2].partition("[")[0].partition(" ")[0]
            if state == "PASSED":
                green.add(test)
            else:
                red.setdefault(test, "")
    if not red and not green:
        raise RuntimeError(f"no test ran without {name}: {(done.stderr or done.stdout)[-500:]}")
    return dict(sorted(red.items())), sorted(green - red.keys())
