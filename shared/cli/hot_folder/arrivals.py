"""Files that have arrived whole: their size and time hold still, or they were renamed into the folder."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.contract.image_files import HEAD_BYTES, claims_image, skip_by_content, skip_by_name

OURS = ("done", "failed")  # folders that the watcher makes; its own journal is hidden
_BEING_WRITTEN = (".tmp", ".part", ".partial", ".crdownload", ".filepart", "~")
_OLD_S = 5.0  # a file last written so long ago was renamed in, or lay there before
EMPTY_S = 30.0  # a copy may begin with an empty file; one that holds still for so long has lost its bytes


@dataclass(slots=True)
class _Seen:
    size: int
    mtime_ns: int
    since: float


class Arrivals:
    """The files of a folder that are not yet planned. `look` notes paths, `whole` gives those that hold still."""

    def __init__(self, folder: Path, settle_s: float) -> None:
        self._folder, self._settle_s = str(folder), settle_s
        self._seen: dict[str, _Seen] = {}
        self._taken: set[str] = set()
        self._left_out: dict[str, tuple[int, int]] = {}

    def rescan(self) -> None:
        """Note every file below the folder: network drives send no events, and events can be lost."""
        for name in _names(self._folder):
            self.look(name)

    def look(self, name: str) -> None:
        """Note a file by its name inside the folder, unless it is planned, hidden or still has a temporary name."""
        first = name.partition("/")[0]
        if (
            name in self._taken
            or first in OURS
            or skip_by_name(name)
            or name.lower().endswith(_BEING_WRITTEN)
        ):
            return
        try:
            found = os.stat(f"{self._folder}/{name}")  # noqa: PTH116 - thousands of files a second
        except OSError:
            self._seen.pop(name, None)
            return
        if not os.path.isfile(f"{self._folder}/{name}"):  # noqa: PTH113
            return
        if self._left_out.get(name) == (found.st_size, found.st_mtime_ns):
            return
        known = self._seen.get(name)
        if known is None:
            old = time.time() - found.st_mtime > _OLD_S
            since = time.monotonic() - (self._settle_s if old else 0.0)
            self._seen[name] = _Seen(found.st_size, found.st_mtime_ns, since)
        elif (known.size, known.mtime_ns) != (found.st_size, found.st_mtime_ns):
            self._seen[name] = _Seen(found.st_size, found.st_mtime_ns, time.monotonic())

    def whole(self) -> list[str]:
        """The names that have held still for the settling time, in the order in which they were seen."""
        for name in list(self._seen):
            self.look(name)
        now = time.monotonic()
        return [name for name, seen in self._seen.items() if now - seen.since >= self._needed_s(seen)]

    def _needed_s(self, seen: _Seen) -> float:
        return self._settle_s if seen.size else max(EMPTY_S, self._settle_s)

    def is_idle(self) -> bool:
        """Whether no file is waiting."""
        return not self._seen

    def take(self, name: str) -> None:
        """The file is planned: it is not looked at again until `release`."""
        self._seen.pop(name, None)
        self._taken.add(name)

    def release(self, name: str) -> None:
        """The planned file has left the folder, or was written again."""
        self._taken.discard(name)

    def leave_out(self, name: str) -> None:
        """The file is no image: it stays where it is, and is looked at again when it is written again."""
        seen = self._seen.pop(name, None)
        if seen is not None:
            self._left_out[name] = (seen.size, seen.mtime_ns)


def why_no_image(path: str) -> str | None:
    """Why a file is not sent; None for an image, or a file whose extension says that it is one."""
    if os.path.islink(path):  # noqa: PTH114
        return "a symbolic link: its target may lie anywhere"
    if claims_image(path):
        return None
    with open(path, "rb") as file:  # noqa: PTH123
        return skip_by_content(file.read(HEAD_BYTES))


def _names(folder: str) -> Iterator[str]:
    """The files below a folder, by their names inside it, older names first."""
    for here, folders, files in os.walk(folder):
        inside = os.path.relpath(here, folder)
        if inside == ".":
            folders[:] = [name for name in folders if name not in OURS]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = "" if inside == "." else f"{inside}/"
        yield from (prefix + name for name in sorted(files))
