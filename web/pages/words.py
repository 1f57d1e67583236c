"""How the pages spell numbers, times, states and verdicts."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from shared.clock import now
from shared.contract.batches import BatchPayload

_STATES = {
    "draft": "Draft",
    "queued": "Waiting",
    "processing": "Running",
    "paused": "Paused",
    "completed": "Done",
    "cancelling": "Cancelling",
    "cancelled": "Cancelled",
    "expired": "Expired",
    "failed": "Failed",
    "succeeded": "Decided",
}
_VERDICTS = {"defect": "Defect", "review": "Review", "no_defect": "No defect"}


def state(word: str) -> str:
    """A batch's or an item's state."""
    return _STATES.get(word, word)


def verdict(word: str) -> str:
    """A verdict."""
    return _VERDICTS.get(word, word)


def number(value: float) -> str:
    """`12 345`, in groups of three with narrow spaces that don't break."""
    return f"{value:,}".replace(",", "\u202f")


def percent(share: float) -> str:
    """A share of one; 100 % only where it is all."""
    return f"{int(share * 100)}\u202f%"


def speed(batch: BatchPayload) -> str | None:
    """Items a second, with as many digits as mean something."""
    eta = batch["eta"]
    if eta is None:
        return None
    value = eta["items_per_second"]
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}\u202fs"
    if whole < 3600:
        return f"{whole // 60}\u202fmin {whole % 60}\u202fs"
    return f"{whole // 3600}\u202fh {whole % 3600 // 60}\u202fmin"


def remaining(batch: BatchPayload) -> str | None:
    """How long until the batch has ended, at its speed so far."""
    finish = batch["eta"]["finish_at"] if batch["eta"] else None
    return duration(_seconds(finish) - now()) if finish else None


def took(batch: BatchPayload) -> str | None:
    """How long the batch has run, or ran."""
    started, ended = batch["started_at"], batch["finished_at"]
    if started is None:
        return None
    return duration((_seconds(ended) if ended else now()) - _seconds(started))


def moment(text: str) -> str:
    """An RFC 3339 time as a person writes it, in UTC; the page's script turns it into local time."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%-d %b %Y %H:%M UTC")


def title(batch: BatchPayload) -> str:
    """The label that the submitter gave, or the end of the id."""
    label = batch["metadata"].get("label")
    return label[:200] if isinstance(label, str) and label.strip() else f"Batch {batch['id'][-8:]}"


def notes(batch: BatchPayload) -> list[tuple[str, str]]:
    """Metadata that fits on a line, without the label."""
    plain = [
        (k, v) for k, v in batch["metadata"].items() if k != "label" and isinstance(v, str | int | float)
    ]
    return [(name, str(value)[:80]) for name, value in plain[:8]]


def shares(batch: BatchPayload) -> list[tuple[str, float, float]]:
    """The bar of a batch: (kind, start, width) of each part, in percent of all items."""
    total = batch["counts"]["total"] or 1
    counts, verdicts = batch["counts"], batch["verdicts"]
    parts = [
        ("defect", verdicts["defect"]),
        ("review", verdicts["review"]),
        ("no_defect", verdicts["no_defect"]),
        ("failed", counts["failed"] + counts["cancelled"] + counts["expired"]),
    ]
    made, start = [], 0.0
    for kind, count in parts:
        width = 100 * count / total
        if count:
            made.append((kind, round(start, 3), round(width, 3)))
        start += width
    return made


def summary(batch: BatchPayload) -> str:
    """One sentence for who can't see the bar; it changes at every tenth, not at every item."""
    if batch["finished_at"]:
        found = batch["verdicts"]
        return (
            f"{state(batch['status'])}: {found['defect']} defect, {found['review']} review, "
            f"{found['no_defect']} no defect, {batch['counts']['failed']} failed"
        )
    return f"{state(batch['status'])}, {int(batch['progress'] * 10) * 10} percent"


def ticked(text: str) -> Markup:
    """A sentence of the code whose `names` become code in the page."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


FILTERS: dict[str, Callable[..., Any]] = {
    "duration": duration, "moment": moment, "notes": notes, "number": number, "percent": percent,
    "ticked": ticked, "remaining": remaining, "shares": shares, "speed": speed, "state": state, "summary": summary,
    "title_of": title, "took": took, "verdict": verdict,
}  # fmt: skip
