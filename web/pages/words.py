"""The words of the pages: numbers, times, states, verdicts, and sentences about a batch."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from markupsafe import Markup, escape

from shared.clock import now
from shared.contract.agreement import AgreementGroup
from shared.contract.batches import BatchPayload
from shared.contract.notices import notices
from shared.contract.options import LABELS
from shared.contract.rates import RatePayload
from shared.contract.visible import visible

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
LOST: tuple[Literal["failed", "cancelled", "expired"], ...] = ("failed", "cancelled", "expired")
_REASONS = {
    "unfamiliar": "unlike the images of the training",
    "blank": "a blank image",
    "low_confidence": "the score is near the threshold",
}

_SOURCES = {
    "band": "In the review band",
    "guard": "Flagged by the guard",
    "audit_passed": "Audit of passed items",
    "audit_refused": "Audit of refused items",
    "chosen": "Chosen by a person",
}


def state(word: str) -> str:
    """A batch's or an item's state."""
    return _STATES.get(word, word)


def verdict(word: str) -> str:
    """A verdict."""
    return _VERDICTS.get(word, word)


def reason(code: str) -> str:
    """Why an item needs a person."""
    return _REASONS.get(code, code.replace("_", " "))


def source(word: str) -> str:
    """Why an item is in the review queue."""
    return _SOURCES.get(word, word)


def reviewed(group: AgreementGroup) -> int:
    """How many items of the queue persons have reviewed."""
    counts: Any = group["reviewed"]
    return sum(sum(persons.values()) for persons in counts.values())


def rate(value: RatePayload) -> str:
    """`1.2 % (0.4 to 3.1)`, with its limits in percent."""
    limits = f"{_digits(value['low'])} to {_digits(value['high'])}"
    if value["value"] is None:
        return f"({limits}\u202f%)"
    return f"{_digits(value['value'])}\u202f% ({limits})"


def _digits(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.001 or share == 0 else f"{100 * share:.2g}"


def standing(batch: BatchPayload) -> tuple[str, str]:
    """(kind, words) of the chip that says how a batch stands; green only if every item has a verdict."""
    if batch["finished_at"] is None and batch.get("blocked"):
        return "blocked", "Blocked"
    lost = undecided(batch)
    if batch["status"] != "completed" or not lost:
        return batch["status"], state(batch["status"])
    if lost == batch["counts"]["total"]:
        return "all_failed", "All failed" if batch["counts"]["failed"] == lost else "No verdict"
    return "partial", f"Done, {number(lost)} without a verdict"


def undecided(batch: BatchPayload) -> int:
    """Items that have ended without a verdict."""
    return batch["counts"]["failed"] + batch["counts"]["cancelled"] + batch["counts"]["expired"]


def empty(batch: BatchPayload, chosen: str) -> str:
    """The sentence in place of the items where a tab has none; it never reads like a verdict."""
    so_far = "" if batch["finished_at"] else " so far"
    if chosen in _VERDICTS:
        sentence = f"No item has the verdict “{_VERDICTS[chosen]}”{so_far}."
    else:
        sentence = (
            f"No item is in the state “{state(chosen)}”{so_far}." if chosen else "This batch has no items."
        )
    if lost := undecided(batch):
        have = "item has" if lost == 1 else "items have"
        sentence += f" {number(lost)} of {number(batch['counts']['total'])} {have} no verdict."
    return sentence


def number(value: float) -> str:
    """`12 345`, in groups of three with narrow spaces that don't break."""
    return f"{value:,}".replace(",", "\u202f")


def percent(share: float) -> str:
    """A share of one; 100 % only where it is all."""
    return f"{int(share * 100)}\u202f%"


def speed(batch: BatchPayload) -> str | None:
    """Judged images a second, with as many digits as mean something; None before the first verdict."""
    value = batch["eta"]["items_per_second"] if batch["eta"] else 0.0
    if not value:
        return None
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
    """How long the batch has run, or ran, without the time before a retry."""
    started, ended = batch["started_at"], batch["finished_at"]
    if started is None:
        return None
    return duration((_seconds(ended) if ended else now()) - _seconds(started) - batch["idle_s"])


def moment(text: str) -> str:
    """An RFC 3339 time as a person writes it, in UTC; the page's script turns it into local time."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%-d %b %Y %H:%M UTC")


def title(batch: BatchPayload) -> str:
    """The name that the submitter gave, or the end of the id."""
    return str(batch.get("name") or f"Batch {batch['id'][-8:]}")


def notes(batch: BatchPayload) -> list[tuple[str, str]]:
    """Labels, and metadata that fits on a line."""
    plain = [(label, str(batch[label])) for label in LABELS if batch.get(label)]  # type: ignore[literal-required]
    plain += [
        (name, str(value))
        for name, value in batch["metadata"].items()
        if isinstance(value, str | int | float)
    ]
    return [(name, value[:80]) for name, value in plain[:8]]


def shares(batch: BatchPayload) -> list[tuple[str, float, float]]:
    """The bar of a batch: (kind, start, width) of each part, in percent of all items."""
    total = batch["counts"]["total"] or 1
    verdicts = batch["verdicts"]
    parts = [
        ("defect", verdicts["defect"]),
        ("review", verdicts["review"]),
        ("no_defect", verdicts["no_defect"]),
        ("failed", undecided(batch)),
    ]
    made, start = [], 0.0
    for kind, count in parts:
        width = 100 * count / total
        if count:
            made.append((kind, round(start, 3), round(width, 3)))
        start += width
    return made


def summary(batch: BatchPayload) -> str:
    """A sentence for a person who can't see the bar; it changes at every tenth, not at every item."""
    _, words = standing(batch)
    if not batch["finished_at"]:
        return f"{words}, {int(batch['progress'] * 10) * 10} percent"
    found, counts = batch["verdicts"], batch["counts"]
    said = [f"{found['defect']} defect", f"{found['review']} review", f"{found['no_defect']} no defect"]
    said += [f"{counts[kind]} {kind}" for kind in LOST if counts[kind] or kind == "failed"]
    return f"{words}: {', '.join(said)}"


def ticked(text: str) -> Markup:
    """Text whose `names` become code in the page."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


def finished(value: object) -> object:
    """Each value on its way into a page: text that a client sent cannot turn the order of its characters.

    Markup passes as it is: its parts went through here before.
    """
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


FILTERS: dict[str, Callable[..., object]] = {
    "duration": duration, "empty": empty, "moment": moment, "notes": notes, "notices": notices, "number": number,
    "percent": percent, "rate": rate, "reason": reason, "reviewed": reviewed, "remaining": remaining,
    "shares": shares, "speed": speed, "source": source, "standing": standing, "state": state,
    "summary": summary, "ticked": ticked, "title_of": title, "took": took, "undecided": undecided, "verdict": verdict,
}  # fmt: skip
