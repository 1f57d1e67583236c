"""An answer on its way to a client."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The status, headers and body of one call of the view."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Iterable[Any]

    @property
    def is_event_stream(self) -> bool:
        return any(
            name.lower() == b"content-type" and value.startswith(b"text/event")
            for name, value in self.headers
        )
