"""Which of the waiting files become a batch now: at once, or by lot, by hour, or by number."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Waiting:
    """A whole file that waits: its name, its time in seconds since the epoch, and since when it waits."""

    name: str
    mtime: float
    since: float


@dataclass(slots=True)
class Rule:
    """`by` is `now`, `lot`, `hour` or a number of files.

    `lot_of` gives the lot of a name, or None. A lot is over when it has been quiet for `quiet_s`, or when a file of
    another lot has come after it.
    """

    by: str = "now"
    lot_of: Callable[[str], str | None] = field(default=lambda name: None)
    quiet_s: float = 60.0
    most: int = 1000
    clock: Callable[[], float] = time.time

    def groups(
        self, waiting: Sequence[Waiting], *, at_end: bool = False
    ) -> list[tuple[str | None, list[str]]]:
        """(lot, names) of the batches that are due; with `at_end` all that wait."""
        by_group: dict[tuple[str | None, int], list[Waiting]] = {}
        for file in waiting:
            hour = int(file.mtime // 3600) if self.by == "hour" else 0
            by_group.setdefault((self.lot_of(file.name), hour), []).append(file)
        newest = max(waiting, key=lambda file: file.since, default=None)
        due = []
        for (lot, hour), files in by_group.items():
            for first in range(0, len(files), self._size()):
                part = files[first : first + self._size()]
                if at_end or self._is_due(part, lot, hour, newest):
                    due.append((lot, [file.name for file in part]))
        return due

    def _size(self) -> int:
        return min(self.most, int(self.by)) if self.by.isdigit() else self.most

    def _is_due(self, files: Sequence[Waiting], lot: str | None, hour: int, newest: Waiting | None) -> bool:
        if self.by == "now" or len(files) >= self._size():
            return True
        if self.by == "hour":
            return self.clock() >= 3600 * (hour + 1)
        if self.by == "lot":
            quiet = time.monotonic() - max(file.since for file in files) >= self.quiet_s
            return quiet or (newest is not None and self.lot_of(newest.name) != lot)
        return False


def lots(spec: str | None) -> Callable[[str], str | None]:
    """The function for `--lot-from`: `folder`, or a regular expression with one group. Raises re.error."""
    if spec is None:
        return lambda name: None
    if spec == "folder":
        return lambda name: name.rpartition("/")[0] or None
    pattern = re.compile(spec)
    if pattern.groups != 1:
        raise re.error("the pattern needs exactly one group, for the lot")

    def lot_of(name: str) -> str | None:
        found = pattern.search(name)
        return found.group(1) if found else None

    return lot_of
