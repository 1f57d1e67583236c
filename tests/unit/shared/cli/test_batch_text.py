"""The CLI's words about a batch say what has no verdict, and their exit status follows."""

from typing import Any

import pytest

from shared.cli import batch_text


def batch(**changed: Any) -> Any:
    counts = dict.fromkeys(
        ("total", "queued", "processing", "succeeded", "failed", "cancelled", "expired"), 0
    )
    plain = {
        "id": "bat_1",
        "name": None,
        "status": "completed",
        "outcome": "all_succeeded",
        "finished_at": "2026-11-29T10:00:00Z",
        "blocked": None,
        "counts": counts | {name: changed.pop(name) for name in list(changed) if name in counts},
        "verdicts": {"defect": 0, "no_defect": 0, "review": 0},
        "eta": None,
        "no_eta": "waiting",
        "model": None,
        "links": {},
    }
    return plain | changed


@pytest.mark.parametrize(
    ("given", "said", "status"),
    [
        (batch(total=2, succeeded=2), "completed", 0),
        (batch(total=2, failed=2, outcome="all_failed"), "completed (all_failed)", 4),
        (batch(total=2, succeeded=1, expired=1, outcome="partial"), "completed (partial)", 4),
        (batch(total=2, cancelled=2, status="cancelled", outcome=None), "cancelled", 4),
        (
            batch(
                total=2, queued=2, status="queued", outcome=None, finished_at=None,
                blocked={"code": "no_worker", "detail": "no live worker", "since": "2026-11-29T10:00:00Z"},
            ),
            "queued (blocked)",
            0,
        ),
    ],
)  # fmt: skip
def test_a_batch_that_lacks_verdicts_is_never_said_to_be_plainly_completed(
    given: Any, said: str, status: int
) -> None:
    assert batch_text.standing(given) == said
    assert batch_text.outcome_status(given) == status


def test_the_progress_line_counts_every_item_that_ended_without_a_verdict() -> None:
    text = batch_text.progress_text(batch(total=9, succeeded=3, failed=1, cancelled=2, expired=3))
    assert text.startswith("9/9  ")
    assert text.endswith("  6 without a verdict")


def test_a_name_cannot_steer_the_terminal_and_a_blocked_batch_says_why() -> None:
    blocked = {"code": "no_worker", "detail": "no live worker", "since": "2026-11-29T10:00:00Z"}
    said = batch_text.describe(batch(name="\x1b[2Jline A3", blocked=blocked))
    assert "\x1b" not in said
    assert "line A3" in said
    assert "notice   Blocked: no live worker (no_worker, since 2026-11-29T10:00:00Z)." in said
