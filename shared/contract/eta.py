"""The time at which a batch will have ended, by the measured speed, or the reason why there is none."""

from typing import Annotated

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, OneOf, Time
from shared.contract.states import BatchStatus
from shared.store.records import BatchRecord

RECENT, WHOLE_RUN = "recent", "whole_run"
NO_ETA = ("draft", "waiting", "no_verdict", "paused", "blocked")


class Eta(TypedDict):
    """The speed of a batch, and when it will have ended at this speed."""

    finish_at: Annotated[Time, About("null once it has ended")]
    items_per_second: Annotated[
        float, About("items that workers judge a second; verdicts, once it has ended")
    ]
    basis: Annotated[
        str,
        OneOf((RECENT, WHOLE_RUN)),
        About(
            "recent: measured over the last `measured_s` seconds, at most 40 of work, without a pause; whole_run: over "
            "the whole time of a batch that has ended, without the time between an end and a retry"
        ),
    ]
    measured_items: Annotated[int, About("how many items the speed was measured over")]
    measured_s: Annotated[float, About("over how many seconds")]


def eta(row: BatchRecord, at: float) -> Eta | None:
    """The ETA of a batch as it was at a time; None where `no_eta` says why.

    A failed item has taken a worker's time and counts for the end; an image that got no verdict, like a cancelled
    or expired one, does not count as judged.
    """
    if row.finished_at is not None:
        return _of_the_run(row, row.finished_at)
    if row.pace_at is None or no_eta(row) is not None:
        return None
    judged, elapsed = _judged(row), max(at - row.pace_at, 0.001)
    return {
        "finish_at": rfc3339(at + (row.queued + row.processing) * elapsed / judged),
        "items_per_second": round(judged / elapsed, 1),
        "basis": RECENT,
        "measured_items": judged,
        "measured_s": round(elapsed, 1),
    }


def no_eta(row: BatchRecord) -> str | None:
    """Why a batch that has not ended has no ETA, one of NO_ETA; None where it has one."""
    if row.finished_at is not None:
        return None
    if row.status == BatchStatus.DRAFT:
        return "draft"
    if row.status == BatchStatus.PAUSED:
        return "paused"
    if row.blocked is not None:
        return "blocked"
    if row.pace_at is None:
        return "waiting"
    return None if _judged(row) > 0 else "no_verdict"


def _judged(row: BatchRecord) -> int:
    return row.succeeded + row.failed - row.pace_done


def _of_the_run(row: BatchRecord, ended_at: float) -> Eta | None:
    judged = row.succeeded + row.failed
    if row.started_at is None or not judged:
        return None
    elapsed = max(ended_at - row.started_at - row.idle_s, 0.001)
    return {
        "finish_at": None,
        "items_per_second": round(row.succeeded / elapsed, 1),
        "basis": WHOLE_RUN,
        "measured_items": judged,
        "measured_s": round(elapsed, 1),
    }
