"""The items of a batch, and the file that each was made of."""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.cli.hot_folder.journal import KnownFile


class Items:
    """Items of a batch, found by the file that each was made of.

    The service may keep another name than the file has, since names hold escapes and old encodings: then the content
    tells, which is of no item that was refused unread.
    """

    def __init__(self, items: Iterable[Mapping[str, Any]]) -> None:
        self._exact: dict[tuple[str, str | None], Mapping[str, Any]] = {}
        self._content: dict[str | None, Mapping[str, Any]] = {}
        for item in items:
            self._exact[item["filename"], item["sha256"]] = self._content[item["sha256"]] = item

    def of(self, file: KnownFile) -> Mapping[str, Any] | None:
        """The item of a file."""
        exact, name, content = self._exact, file.name, file.sha256
        return exact.get((name, content)) or self._content.get(content) or exact.get((name, None))
