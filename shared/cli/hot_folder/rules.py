"""Which of the waiting files become a batch now: at once, or by lot, by hour, or by number."""

import itertools
import re
import time
from collections import OrderedDict
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

    @property
    def size(self) -> int:
        """The most files of a batch."""
        return min(self.most, int(self.by)) if self.by.isdigit() else self.most


_Group = tuple[str | None, int]  # a lot, and the hour since the epoch where the rule goes by hours


@dataclass(slots=True)
class Backlog:
    """The files that wait, by lot and hour. A file costs the same to add and to take however many wait."""

    rule: Rule
    # Ordered dictionaries: a plain one walks over the places of all that were taken from its front.
    _groups: dict[_Group, OrderedDict[str, Waiting]] = field(default_factory=dict)
    _begun: set[_Group] = field(default_factory=set)  # a batch of them was cut short: the rest is due, too
    _newest: str | None = None  # the lot of the file that came last

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def add(self, file: Waiting) -> None:
        """Let a file wait."""
        group = self._group_of(file)
        self._groups.setdefault(group, OrderedDict())[file.name] = file
        self._newest = group[0]

    def take(self, *, at_end: bool = False) -> tuple[str | None, list[Waiting]] | None:
        """The lot and the files of a batch that is due, which wait no longer; with `at_end` any that wait."""
        for group, files in self._groups.items():
            if at_end or group in self._begun or self._is_due(group, files):
                taken = list(itertools.islice(files.values(), self.rule.size))
                for file in taken:
                    del files[file.name]
                if not files:
                    del self._groups[group]
                    self._begun.discard(group)
                return group[0], taken
        return None

    def put_back(self, files: Sequence[Waiting]) -> None:
        """Files of a batch that had no room for them: they are due at once."""
        for file in files:
            group = self._group_of(file)
            self._groups.setdefault(group, OrderedDict())[file.name] = file
            self._begun.add(group)

    def _group_of(self, file: Waiting) -> _Group:
        return self.rule.lot_of(file.name), int(file.mtime // 3600) if self.rule.by == "hour" else 0

    def _is_due(self, group: _Group, files: OrderedDict[str, Waiting]) -> bool:
        (lot, hour), by = group, self.rule.by
        if by == "now" or len(files) >= self.rule.size:
            return True
        if by == "hour":
            return self.rule.clock() >= 3600 * (hour + 1)
        if by == "lot":
            last = next(reversed(files.values()))
            return self._newest != lot or time.monotonic() - last.since >= self.rule.quiet_s
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


def views(spec: str | None) -> Callable[[str], dict[str, str]]:
    """The function for `--part-from`: `part_id`, and perhaps `view`, of a name that fits the pattern; else nothing.
    Raises re.error."""
    if spec is None:
        return lambda name: {}
    pattern = re.compile(spec)
    if not {"part"} <= {*pattern.groupindex} <= {"part", "view"}:
        raise re.error("the pattern needs the group (?P<part>…), and no other named one but (?P<view>…)")

    def view_of(name: str) -> dict[str, str]:
        found = pattern.search(name)
        given = found.groupdict() if found else {}
        names = {"part": "part_id", "view": "view"}
        return {names[group]: text for group, text in given.items() if text} if given.get("part") else {}

    return view_of
