"""The files of a folder that were not sent: how many, and why."""

import sys
from collections import defaultdict

from shared.cli.output import printable

_NAMED = 3  # names shown for each reason


class Skipped:
    """Collects skipped files and reports them on stderr, so that stdout stays the answer's."""

    def __init__(self) -> None:
        self._names: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, name: str, reason: str) -> None:
        self._names[reason].append(name)

    def say(self) -> None:
        """A line for all files and one for each reason; nothing if no file was skipped."""
        total = sum(map(len, self._names.values()))
        if total:
            print(f"skipped {total} {'file' if total == 1 else 'files'}:", file=sys.stderr)
        for reason, names in self._names.items():
            shown = ", ".join(printable(name) for name in names[:_NAMED])
            more = ", …" if len(names) > _NAMED else ""
            print(f"  {len(names)} {reason}: {shown}{more}", file=sys.stderr)
