"""Rows in, the contract's JSON out."""

import csv
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import now
from shared.contract.batches import BatchPayload, batch_payload
from shared.contract.csv_cells import restored
from shared.contract.csv_columns import CSV_COLUMNS, csv_line
from shared.contract.events import event_payload
from shared.contract.fields import parse_moment
from shared.contract.items import ItemPayload, item_payload
from shared.contract.keys import key_payload
from shared.contract.pages import page
from shared.contract.predictions import prediction_payload
from shared.ids import item_id, new_id
from shared.store.records import JudgeRecord


def batch_row(**changed: Any) -> Any:
    row: dict[str, Any] = {
        "id": new_id("bat"), "status": "processing", "outcome": None, "model_id": "mdl_1", "threshold": 0.42,
        "review_low": 0.3, "review_high": 0.6, "total": 1000, "queued": 604, "processing": 32, "succeeded": 360,
        "failed": 4, "cancelled": 0, "expired": 0, "defect": 21, "no_defect": 330, "review": 9, "lane": "normal",
        "metadata": {"line": "A3"}, "created_at": 1.0, "started_at": now() - 10, "finished_at": None,
        "deadline_at": None, "retain_until": None, "name": "line A3", "blocked": None,
        "skipped": 0, "warnings": [],
        "guarded": True, "unfamiliar": 0, "promised": None,
        "parts": 200, "defect_parts": 20, "no_defect_parts": 171, "review_parts": 9,
        "lot": "4711", "order": None, "line": "A3", "station": None, "operator": None,
        "pace_at": now() - 10, "pace_done": 0, "idle_s": 0.0, "revision": 0, "rerun_of": None,
    }  # fmt: skip
    return SimpleNamespace(**{**row, **changed})


def item_row(**changed: Any) -> Any:
    row = {
        "batch_id": new_id("bat"), "seq": 3, "custom_id": None, "filename": "a.jpg", "sha256": "0" * 64,
        "status": "succeeded", "verdict": "defect", "score": 0.9, "threshold": 0.5, "model_sha256": "f" * 64,
        "attempts": 1, "queue_ms": 1.0, "decode_ms": 2.0, "infer_ms": 3.0, "metadata": None, "error_code": None,
        "error_detail": None, "created_at": 1.0, "finished_at": 2.0, "reasons": None,
        "part_id": None, "view": None, "frame": None,
        "raw_score": 2.2, "review_low": 0.4, "review_high": 0.6, "unfamiliarity": 0.7, "judge_id": 7, "kind": None,
        "cached_from": None,
    }  # fmt: skip
    return SimpleNamespace(**{**row, **changed})


JUDGES = {7: JudgeRecord(7, "wrk_1", "cpu", "onnxruntime", "f" * 64, "e" * 64, 1.0, None)}


def test_a_batch_has_exactly_the_members_of_its_type() -> None:
    shown = batch_payload(batch_row())
    assert set(shown) == BatchPayload.__required_keys__
    assert shown["counts"]["total"] == sum(n for name, n in shown["counts"].items() if name != "total")  # type: ignore[misc]
    assert json.loads(json.dumps(shown)) == shown


def test_progress_is_the_share_of_items_that_have_ended() -> None:
    assert batch_payload(batch_row())["progress"] == 0.364
    assert batch_payload(batch_row(total=0, queued=0, processing=0))["progress"] == 0.0


def test_the_eta_goes_by_the_speed_since_the_older_mark() -> None:
    eta = batch_payload(batch_row())["eta"]
    assert eta is not None
    assert eta["items_per_second"] == pytest.approx(36.0, abs=0.5)
    assert eta["finish_at"] is not None
    assert (eta["basis"], eta["measured_items"]) == ("recent", 364)
    assert eta["measured_s"] == pytest.approx(10, abs=0.2)
    slow = batch_payload(batch_row(pace_at=now() - 40, pace_done=264))["eta"]
    assert slow is not None
    assert slow["items_per_second"] == pytest.approx(2.5, abs=0.1)
    assert slow["measured_items"] == 100
    left_s = parse_moment(str(slow["finish_at"])) - now()
    assert left_s == pytest.approx(636 / 2.5, rel=0.02)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"status": "draft"}, "draft"),
        ({"status": "paused"}, "paused"),
        ({"started_at": None, "pace_at": None}, "waiting"),
        ({"pace_at": None}, "waiting"),
        ({"total": 636, "succeeded": 0, "failed": 0}, "no_verdict"),
        ({"pace_done": 364}, "no_verdict"),
        ({"blocked": {"code": "no_worker", "detail": "none", "since": None}}, "blocked"),
        ({}, None),
        ({"status": "cancelled", "finished_at": 20.0, "succeeded": 0, "failed": 0}, None),
    ],
)
def test_a_batch_without_an_eta_says_why(changed: dict[str, Any], reason: str | None) -> None:
    shown = batch_payload(batch_row(**changed))
    assert shown["no_eta"] == reason
    assert (shown["eta"] is None) == bool(changed)


def test_the_speed_of_an_ended_batch_is_that_of_its_whole_run() -> None:
    ended = batch_payload(
        batch_row(status="completed", started_at=10.0, finished_at=20.0, queued=0, processing=0, total=364)
    )
    speed = {"basis": "whole_run", "measured_items": 364, "measured_s": 10.0}
    assert ended["eta"] == {"finish_at": None, "items_per_second": 36.0, **speed}


def test_the_time_between_an_end_and_a_retry_does_not_count_for_the_speed() -> None:
    ended = batch_payload(
        batch_row(
            status="completed", started_at=10.0, finished_at=120.0, idle_s=100.0, queued=0, processing=0
        )
    )
    assert ended["eta"] is not None
    assert (ended["eta"]["items_per_second"], ended["eta"]["measured_s"]) == (36.0, 10.0)
    assert ended["idle_s"] == 100.0


def test_images_that_got_no_verdict_do_not_count_for_the_speed() -> None:
    cut = batch_row(status="cancelled", started_at=10.0, finished_at=20.0, queued=0, processing=0)
    cut.succeeded, cut.failed, cut.cancelled, cut.expired = 10, 0, 600, 26
    speed = {"basis": "whole_run", "measured_items": 10, "measured_s": 10.0}
    assert batch_payload(cut)["eta"] == {"finish_at": None, "items_per_second": 1.0, **speed}
    cut.succeeded, cut.failed = 0, 10
    assert batch_payload(cut)["eta"] == {"finish_at": None, "items_per_second": 0.0, **speed}


def test_links_lead_to_the_service_that_the_client_speaks_to() -> None:
    row = batch_row()
    links = batch_payload(row, base="https://inspect.example")["links"]
    assert links["self"] == f"https://inspect.example/v1/batches/{row.id}"
    assert links["page"] == f"https://inspect.example/batches/{row.id}"


def test_an_item_has_exactly_the_members_of_its_type() -> None:
    shown = item_payload(item_row(), JUDGES)
    assert set(shown) == ItemPayload.__required_keys__
    assert (shown["metadata"], shown["error"]) == ({}, None)


def test_a_failed_item_says_why() -> None:
    shown = item_payload(item_row(status="failed", error_code="corrupt_image", error_detail=None), JUDGES)
    assert shown["error"] == {"code": "corrupt_image", "detail": ""}


@pytest.mark.parametrize(
    ("score", "verdict", "confidence"),
    [
        (0.9, "defect", 0.9),
        (0.2, "no_defect", 0.8),
        (0.5, "defect", 0.5),
        (0.3, "defect", 0.3),  # a threshold of 0.2: most such parts are good
        (0.7, "no_defect", 0.3),  # a threshold of 0.8
        (0.45, "review", 0.55),
    ],
)
def test_confidence_is_the_probability_that_the_prediction_is_right(
    score: float, verdict: str, confidence: float
) -> None:
    shown = prediction_payload(item_row(score=score, verdict=verdict), JUDGES)
    assert [shown["probability"], shown["confidence"]] == [score, pytest.approx(confidence)]
    assert shown["prediction"] == shown["item"]["verdict"]


def test_a_webhook_body_is_type_time_and_data() -> None:
    event = event_payload("batch.completed", batch_payload(batch_row()), 0.0)
    assert list(event) == ["type", "timestamp", "data"]
    assert event["timestamp"] == "1970-01-01T00:00:00.000Z"


def test_a_key_shows_its_secret_only_when_it_is_given() -> None:
    row: Any = SimpleNamespace(
        id="key_1",
        tenant="t",
        name="n",
        prefix="p",
        scopes=["read"],
        created_at=1.0,
        last_used_at=None,
        expires_at=None,
        replaced_by=None,
    )
    assert "secret" not in key_payload(row)
    assert key_payload(row, "gng_p_x")["secret"] == "gng_p_x"


def test_a_page_says_whether_more_follows() -> None:
    assert page([1], "next") == {
        "object": "list",
        "data": [1],
        "has_more": True,
        "next_cursor": "next",
    }
    assert page([], None)["has_more"] is False


def cells(row: Any, *, spreadsheet: bool = True) -> dict[str, str]:
    """A line of CSV as a program reads it."""
    [values] = csv.reader(io.StringIO(csv_line(row, JUDGES, spreadsheet=spreadsheet), newline=""))
    return dict(zip(CSV_COLUMNS, values, strict=True))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
@pytest.mark.parametrize("column", ["filename", "custom_id", "error_detail", "part_id", "view"])
def test_no_cell_that_a_client_can_fill_is_a_formula(start: str, column: str) -> None:
    assert cells(item_row(**{column: f"{start}1+1"}))[column] == f"'{start}1+1"


@given(*[st.text(st.characters(codec="utf-8"), min_size=1)] * 3)
def test_without_a_spreadsheet_every_text_is_exactly_as_sent(
    filename: str, custom_id: str, detail: str
) -> None:
    row = item_row(filename=filename, custom_id=custom_id, error_code="corrupt_image", error_detail=detail)
    read = cells(row, spreadsheet=False)
    assert (read["filename"], read["custom_id"], read["error_detail"]) == (filename, custom_id, detail)


def test_numbers_and_harmless_names_stay_as_they_are() -> None:
    read = cells(item_row(score=0.0, filename="a=b.jpg"))
    assert (read["score"], read["filename"], read["custom_id"]) == ("0.0", "a=b.jpg", "")


@given(*[st.text(st.characters(codec="utf-8"), min_size=1)] * 3)
def test_csv_gives_back_every_text(filename: str, custom_id: str, detail: str) -> None:
    row = item_row(filename=filename, custom_id=custom_id, error_code="corrupt_image", error_detail=detail)
    read = cells(row)
    texts = [restored(read[column]) for column in ("filename", "custom_id", "error_detail")]
    assert texts == [filename, custom_id, detail]
    assert read["id"] == item_id(row.batch_id, row.seq)
    assert (read["created_at"], read["finished_at"]) == (
        "1970-01-01T00:00:01.000Z",
        "1970-01-01T00:00:02.000Z",
    )


def test_an_item_without_a_verdict_has_empty_cells() -> None:
    nothing = ("verdict", "score", "threshold", "model_sha256", "sha256", "finished_at")
    read = cells(item_row(**dict.fromkeys(nothing)))
    assert [read[name] for name in nothing] == [""] * len(nothing)


def codes(**row: Any) -> list[str]:
    return [warning["code"] for warning in batch_payload(batch_row(**row))["warnings"]]


def test_drift_voids_the_promise_of_the_model_and_the_batch_says_so() -> None:
    assert codes(unfamiliar=18) == []
    assert codes(unfamiliar=18, promised=0.01) == []
    assert codes(unfamiliar=19) == ["unfamiliar_images"]
    assert codes(unfamiliar=19, promised=0.01) == ["unfamiliar_images", "promise_void"]
    detail = batch_payload(batch_row(unfamiliar=19, promised=0.01))["warnings"][1]["detail"]
    assert "at most 1 % of the defective parts" in detail and "5.3% are not" in detail


def test_a_guessed_kind_is_in_the_item_and_in_its_line_of_csv() -> None:
    row = item_row(kind='dent, "deep"')
    assert item_payload(row, JUDGES)["kind"] == 'dent, "deep"'
    line = next(csv.DictReader(io.StringIO(",".join(CSV_COLUMNS) + "\r\n" + csv_line(row, JUDGES))))
    assert line["kind"] == 'dent, "deep"'
