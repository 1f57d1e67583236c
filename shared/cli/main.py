"""`gonogo`: the start of the command line, which is `shared.cli.program`."""

import sys
from collections.abc import Sequence

from shared.interrupts import ending_at_once


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    with ending_at_once():
        from shared.cli.program import main as run
    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
