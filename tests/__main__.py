"""`python -m tests [PYTEST ARGUMENTS]`: every test that is not slow, as `make test` runs them.

The tests that depend on the machine's pace run alone, after the others have used all cores.
"""

import os
import sys

import pytest

_EVERYWHERE = [
    "-n",
    str(os.cpu_count() or 1),
    "--dist",
    "loadscope",
    "--no-loadscope-reorder",
    "-m",
    "not slow and not pace",
]
_ALONE = ["-m", "pace and not slow"]


def main() -> int:
    """Run both groups; 0 if no test of either failed and at least one ran."""
    codes = []
    for group in (_EVERYWHERE, _ALONE):
        code = os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-m", "pytest", *group, *sys.argv[1:]])
        codes.append(code)
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return code
    return min(codes)


if __name__ == "__main__":
    sys.exit(main())
