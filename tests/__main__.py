"""`python -m tests [PYTEST ARGUMENTS]`: every test that is not slow, as `make test` runs them.

The tests that depend on the machine's pace run alone, after the others have used all cores.
"""

import os
import sys
from pathlib import Path

import pytest

# The tests run in a process more than there are cores: many tests wait for a moment, for a child or for a server.
_EVERYWHERE = [
    "-n",
    str((os.cpu_count() or 1) + 1),
    "--dist",
    "loadscope",
    "--no-loadscope-reorder",
    "-m",
    "not slow and not pace",
]
_ALONE = ["-m", "pace and not slow"]


def _marked() -> list[str]:
    """The test files that name the marks of the second group: to collect all others would take ten seconds."""
    marks = ("pytest.mark.pace", "pytest.mark.row")
    return [str(path) for path in sorted(Path("tests").rglob("test_*.py")) if _names(path, marks)]


def _names(path: Path, marks: tuple[str, ...]) -> bool:
    text = path.read_text()
    return any(mark in text for mark in marks)


def main() -> int:
    """Run both groups; 0 if no test of either failed and at least one ran."""
    # The tests start some hundred processes of this source: each would compile it where no bytecode is kept.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    codes = []
    named = any(Path(argument.partition("::")[0]).exists() for argument in sys.argv[1:])
    for group in (_EVERYWHERE, [*_ALONE, *([] if named else _marked())]):
        codes.append(
            os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-m", "pytest", *group, *sys.argv[1:]])
        )
    ran = [code for code in codes if code != pytest.ExitCode.NO_TESTS_COLLECTED]
    return next((code for code in ran if code), 0) if ran else pytest.ExitCode.NO_TESTS_COLLECTED


if __name__ == "__main__":
    sys.exit(main())
