"""Field types that several payloads use."""

from typing import Annotated

Time = Annotated[str | None, "RFC 3339, UTC", {"format": "date-time"}]
