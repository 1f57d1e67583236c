"""`python -m tests.faults [PYTEST ARGUMENTS | mutants [NAME ...] | soak [MINUTES] | part NAME FILE]`."""

import sys
from pathlib import Path

from tests.faults import report
from tests.faults.parts import run_part


def main() -> int:
    """Run the rows, the mutants or the soak."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["mutants"]:
        return report.run_mutants(arguments[1:])
    if arguments[:1] == ["soak"]:
        from tests.faults import soak

        return soak.run(minutes=float(arguments[1]) if len(arguments) > 1 else 55.0)
    if arguments[:1] == ["part"]:
        return run_part(arguments[1], Path(arguments[2]))
    return report.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
