"""The words of the pages never claim more than the counts."""

from typing import Any

import pytest

from web.pages import words


def batch(**changed: Any) -> Any:
    counts = dict.fromkeys(
        ("total", "queued", "processing", "succeeded", "failed", "cancelled", "expired"), 0
    )
    plain = {
        "id": "bat_01234567",
        "name": None,
        "status": "completed",
        "finished_at": "2026-11-29T10:00:00Z",
        "counts": counts | {name: changed.pop(name) for name in list(changed) if name in counts},
        "verdicts": {"defect": 0, "review": 0, "no_defect": 0},
        "progress": 1.0,
        "eta": None,
        "no_eta": "waiting",
        "metadata": {},
    }
    return plain | changed


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (batch(total=4, succeeded=4), "completed"),
        (batch(total=4, succeeded=3, failed=1), "partial"),
        (batch(total=4, failed=4), "all_failed"),
        (batch(total=4, failed=2, expired=2), "all_failed"),
        (batch(total=4, cancelled=4, status="cancelled"), "cancelled"),
        (batch(total=4, queued=4, status="queued", finished_at=None), "queued"),
        (
            batch(total=4, queued=4, status="queued", finished_at=None, blocked={"code": "no_worker"}),
            "blocked",
        ),
    ],
)
def test_green_is_for_a_batch_in_which_every_item_has_a_verdict(given: Any, kind: str) -> None:
    found, said = words.standing(given)
    assert found == kind
    assert (said == "Done") == (kind == "completed")


@pytest.mark.parametrize("chosen", ["", "defect", "review", "no_defect", "failed", "cancelled", "expired"])
def test_the_sentence_of_an_empty_tab_is_no_verdict(chosen: str) -> None:
    said = words.empty(batch(total=4, failed=3, expired=1), chosen)
    assert not said.lower().startswith("no defect")
    assert said.endswith("4 of 4 items have no verdict.")
    assert "so far" in words.empty(batch(finished_at=None), "defect")


def test_the_spoken_summary_counts_what_has_no_verdict() -> None:
    said = words.summary(batch(total=6, succeeded=1, failed=2, cancelled=2, expired=1))
    assert (
        said == "Done, 5 without a verdict: 0 defect, 0 review, 0 no defect, 2 failed, 2 cancelled, 1 expired"
    )


def test_no_speed_is_shown_where_nothing_was_judged() -> None:
    assert words.speed(batch(eta={"finish_at": None, "items_per_second": 0.0})) is None
    assert words.speed(batch(eta={"finish_at": None, "items_per_second": 41.7})) == "42"


def test_a_reason_is_told_in_words_and_an_unknown_one_as_it_is() -> None:
    assert words.reason("unfamiliar") == "unlike the images of the training"
    assert words.reason("new_reason") == "new reason"


def test_the_time_before_a_retry_is_no_time_of_the_run() -> None:
    started = "2026-11-29T09:58:12Z"
    assert words.took(batch(started_at=started, idle_s=74.0)) == "34\u202fs"
