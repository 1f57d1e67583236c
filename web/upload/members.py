"""A member of an archive, whatever the archive's format."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from shared.errors import ItemErrorCode
from shared.settings import Settings
from web.upload.memory import Share

UNSAFE: ItemErrorCode = "unsafe_archive_member"


class Source(Protocol):
    """The bytes of a member. `read` raises Unreadable for a damaged member."""

    def read(self, size: int, /) -> bytes: ...


class Sink(Protocol):
    """The part of an intake that an archive needs."""

    settings: Settings
    memory: Share

    def begin(self, filename: str) -> None: ...

    def write(self, data: bytes) -> None: ...

    def refuse(self, code: ItemErrorCode, detail: str) -> None: ...

    def end(self) -> None: ...

    def skip(self, filename: str, reason: str) -> None: ...

    def renew(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Member:
    """`refusal` says why its bytes must not be read. `alone` is true if damage to it leaves the other members
    readable, as in a zip; in a stream such as a tar, everything after the damage is lost."""

    name: str
    open: Callable[[], Source]
    refusal: tuple[ItemErrorCode, str] | None
    alone: bool


def climbs(name: str) -> bool:
    """Whether a name leads out of the folder that it is extracted to."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts
