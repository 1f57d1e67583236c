"""Time: UTC, with a zone, in RFC 3339 when spoken."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current moment, UTC, with microseconds."""
    return datetime.now(UTC)


def rfc3339(moment: datetime | None) -> str | None:
    """`2026-11-24T10:00:00.123Z`; a moment read from SQLite has no zone and is UTC."""
    if moment is None:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"
