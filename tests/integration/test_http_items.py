"""Pages of items, one item, and the result streams."""

import csv
import io
import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shared.contract.csv_columns import CSV_COLUMNS
from shared.lifecycle import claims
from shared.lifecycle.verdicts import Result, record
from shared.vision.decision import calibrated_score
from tests.harness.application import Application
from web.http.cursors import SETTLED_S


@pytest.fixture(scope="module")
def files(images: dict[str, bytes]) -> dict[str, bytes]:
    good = list(images.values())[:37]
    named = {f"part-{number:02d}.jpg": data for number, data in enumerate(good)}
    return {**named, "broken.jpg": b"\xff\xd8\xff broken", "empty.jpg": b"", "text.jpg": b"no image at all"}


@pytest.fixture(scope="module")
def batch(app: Application, files: dict[str, bytes]) -> dict[str, Any]:
    """40 items, all ended: 37 verdicts and 3 failures."""
    made = app.finished(files, {"operating_point": {"threshold": 0.5, "review_band": [0.5, 0.5]}})
    assert (made["status"], made["outcome"], made["counts"]["failed"]) == ("completed", "partial", 3)
    return made  # type: ignore[no-any-return]


def pages(app: Application, batch_id: str, query: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(100):
        page = app.get(f"/v1/batches/{batch_id}/items?{query}{cursor}")
        seen += page["data"]
        if not page["has_more"]:
            return seen
        cursor = f"&cursor={page['next_cursor']}"
    raise AssertionError("the pages have no end")


def test_pages_hold_every_item_once_in_order(
    app: Application, batch: dict[str, Any], files: dict[str, bytes]
) -> None:
    assert [item["filename"] for item in pages(app, batch["id"], "limit=7")] == list(files)


@pytest.mark.parametrize("sort", ["score", "-score"])
def test_pages_by_score_hold_every_item_once(app: Application, batch: dict[str, Any], sort: str) -> None:
    items = pages(app, batch["id"], f"limit=6&sort={sort}")
    scores = [-1.0 if item["score"] is None else item["score"] for item in items]
    assert len({item["id"] for item in items}) == 40
    assert scores == sorted(scores, reverse=sort == "-score")


def test_pages_stay_stable_while_the_batch_runs(app: Application, files: dict[str, bytes]) -> None:
    running = app.submit(files)
    first = app.get(f"/v1/batches/{running['id']}/items?limit=20")
    app.work()
    second = app.get(f"/v1/batches/{running['id']}/items?limit=20&cursor={first['next_cursor']}")
    assert [item["filename"] for item in first["data"] + second["data"]] == list(files)


def record_one_claim(app: Application, scores: Iterator[float]) -> int:
    """Record these scores for the oldest queued chunk, as a worker would; returns how many."""
    with app.database.write() as connection:
        held = claims.claim(
            connection, lanes=["normal"], micro_batch=1, token="t", host="h", pid=1, lease_s=30
        )
    results = [Result(item.seq, "defect", next(scores)) for one in held for item in one.items]
    with app.database.write() as connection:
        done = [(one, [r for r in results if r.seq in {item.seq for item in one.items}]) for one in held]
        record(connection, done, model_sha256="f" * 64)
    return len(results)


@pytest.mark.parametrize("sort", ["score", "-score"])
def test_pages_by_score_show_every_item_of_a_running_batch_once(app: Application, sort: str) -> None:
    chance = random.Random(7)
    scores = (chance.random() for _ in itertools.count())
    batch = app.submit({f"{number}.jpg": b"x" for number in range(400)})
    early = record_one_claim(app, scores) + record_one_claim(app, scores)
    time.sleep(SETTLED_S + 0.1)
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    pages_read = 0
    while cursor is not None:
        page = app.get(f"/v1/batches/{batch['id']}/items?limit=20&sort={sort}{cursor}")
        cursor = f"&cursor={page['next_cursor']}" if page["has_more"] else None
        seen, pages_read = seen + page["data"], pages_read + 1
        record_one_claim(app, scores)
    assert pages_read == 20
    assert sorted(item["id"] for item in seen) == [item["id"] for item in app.results(batch["id"])]
    decided = seen[:early] if sort == "-score" else seen[-early:]
    assert [item["score"] for item in decided] == sorted(
        (item["score"] for item in decided), reverse=sort == "-score"
    )
    app.call("POST", f"/v1/batches/{batch['id']}/cancel")


def test_a_cursor_belongs_to_its_list_filters_and_sort(app: Application, batch: dict[str, Any]) -> None:
    path = f"/v1/batches/{batch['id']}/items"
    cursor = app.get(f"{path}?limit=5&sort=-score&status=succeeded")["next_cursor"]
    assert app.get(f"{path}?limit=7&sort=-score&status=succeeded&cursor={cursor}")["data"]
    other = app.finished({"a.jpg": b"x"})
    for refused in (
        f"{path}?sort=-score&cursor={cursor}",
        f"{path}?sort=score&status=succeeded&cursor={cursor}",
        f"{path}?status=succeeded&cursor={cursor}",
        f"{path}?sort=-score&status=succeeded&min_score=0.1&cursor={cursor}",
        f"/v1/batches/{other['id']}/items?sort=-score&status=succeeded&cursor={cursor}",
        f"/v1/batches?cursor={cursor}",
    ):
        problem = app.call("GET", refused).get_json()
        assert (problem["status"], problem["code"]) == (400, "invalid_cursor"), refused


def test_filters_agree_with_the_counts_of_the_batch(app: Application, batch: dict[str, Any]) -> None:
    for verdict, number in batch["verdicts"].items():
        found = pages(app, batch["id"], f"verdict={verdict}")
        assert len(found) == number
        assert {item["verdict"] for item in found} <= {verdict}
    assert len(pages(app, batch["id"], "status=failed")) == 3
    assert len(pages(app, batch["id"], "status=failed,succeeded")) == 40
    assert pages(app, batch["id"], "status=queued") == []


def test_score_bounds_are_inclusive(app: Application, batch: dict[str, Any]) -> None:
    scores = sorted(item["score"] for item in pages(app, batch["id"], "status=succeeded"))
    low, high = scores[10], scores[20]
    found = pages(app, batch["id"], f"min_score={low!r}&max_score={high!r}")
    assert sorted(item["score"] for item in found) == [score for score in scores if low <= score <= high]


@pytest.mark.parametrize(
    "query",
    [
        "sort=name",
        "status=done",
        "verdict=good",
        "min_score=high",
        "limit=1001",
        "cursor=",
        "cursor=e30",
        "cursor=WyJ4Il0",
        "cursor=WzFlOTld",
        "min_score=nan",
    ],
)
def test_a_parameter_that_cannot_be_is_refused(app: Application, batch: dict[str, Any], query: str) -> None:
    response = app.call("GET", f"/v1/batches/{batch['id']}/items?{query}")
    assert response.status_code == 400
    assert response.get_json()["code"] in {"invalid_parameter", "invalid_cursor"}


def test_an_item_says_what_made_its_verdict(app: Application, batch: dict[str, Any]) -> None:
    item = app.get(f"/v1/batches/{batch['id']}/items?limit=1")["data"][0]
    assert app.get(f"/v1/items/{item['id']}") == item
    assert item["verdict"] == ("defect" if item["score"] >= 0.5 else "no_defect") or item["score"] == 0.5
    assert (item["threshold"], item["attempts"], item["error"]) == (0.5, 1, None)
    assert item["model_sha256"] == batch["model"]["sha256"]
    assert len(item["sha256"]) == 64
    assert item["timings"]["decode_ms"] > 0 < item["timings"]["infer_ms"]


EVIDENCE = (
    "score",
    "raw_score",
    "threshold",
    "review_low",
    "review_high",
    "unfamiliarity",
    "kind",
    "network",
    "worker",
    "device",
    "attempts",
    "model_sha256",
    "preprocessing_sha256",
    "sha256",
    "cached_from",
    "queue_ms",
    "decode_ms",
    "infer_ms",
)


def test_a_verdict_bears_its_evidence_in_json_and_csv(app: Application, batch: dict[str, Any]) -> None:
    items = app.results(batch["id"])
    judged = [item for item in items if item["status"] == "succeeded"]
    model = app.runtime.models.newest.artifact
    for item in judged:
        assert calibrated_score(item["raw_score"], model.calibration) == pytest.approx(item["score"])
        assert item["review_band"] == [0.5, 0.5]
        assert (item["unfamiliarity"] > 1) == ("unfamiliar" in item["reasons"])
    tried = [item for item in items if item["attempts"]]
    assert {item["filename"] for item in items} - {item["filename"] for item in tried} <= {
        "empty.jpg",
        "text.jpg",
    }
    for item in tried:
        assert item["preprocessing_sha256"] == model.preprocessing.sha256
        assert (item["worker"], item["device"]) == (app.runtime.who.id, "cpu")
    failed = next(item for item in items if item["status"] == "failed")
    assert (failed["raw_score"], failed["unfamiliarity"]) == (None, None)
    rows = csv.DictReader(io.StringIO(app.call("GET", f"/v1/batches/{batch['id']}/results?format=csv").text))
    for row, item in zip(rows, items, strict=True):
        low, high = item["review_band"] or (None, None)
        told = {**item, **item["timings"], "review_low": low, "review_high": high}
        for name in EVIDENCE:
            assert row[name] == ("" if told[name] is None else str(told[name])), name
        assert row["reasons"] == " ".join(item["reasons"])


def test_an_item_that_waits_has_no_evidence(app: Application, files: dict[str, bytes]) -> None:
    item = app.get(f"/v1/batches/{app.submit(files)['id']}/items?limit=1")["data"][0]
    names = (
        "raw_score",
        "review_band",
        "unfamiliarity",
        "preprocessing_sha256",
        "worker",
        "device",
        "network",
    )
    assert {item[name] for name in names} == {None}
    app.work()


def test_broken_images_fail_alone_with_their_codes(app: Application, batch: dict[str, Any]) -> None:
    failed = {item["filename"]: item["error"]["code"] for item in pages(app, batch["id"], "status=failed")}
    assert failed == {
        "broken.jpg": "corrupt_image",
        "empty.jpg": "corrupt_image",
        "text.jpg": "unsupported_media",
    }


@pytest.mark.parametrize("item_id", ["itm_x", "nonsense", "itm_" + "0" * 32, "itm_" + "!" * 32])
def test_an_item_that_is_not_there_is_404(app: Application, item_id: str) -> None:
    assert app.call("GET", f"/v1/items/{item_id}").status_code == 404


def test_results_as_ndjson_are_the_items(app: Application, batch: dict[str, Any]) -> None:
    response = app.call("GET", f"/v1/batches/{batch['id']}/results")
    assert response.content_type == "application/x-ndjson"
    assert "X-Incomplete" not in response.headers
    assert app.results(batch["id"]) == pages(app, batch["id"], "limit=1000")


def test_results_as_csv_have_a_row_for_every_item(app: Application, batch: dict[str, Any]) -> None:
    for ask in ({"Accept": "text/csv"}, {}):
        query = "" if ask else "?format=csv"
        response = app.call("GET", f"/v1/batches/{batch['id']}/results{query}", **ask)
        assert response.content_type.startswith("text/csv")
        assert f'filename="{batch["id"]}.csv"' in response.headers["Content-Disposition"]
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert tuple(rows[0]) == CSV_COLUMNS
        assert len(rows) == batch["counts"]["total"] == 40
        assert [row["filename"] for row in rows] == [item["filename"] for item in app.results(batch["id"])]
        assert [row["error_code"] for row in rows[37:]] == [
            "corrupt_image",
            "corrupt_image",
            "unsupported_media",
        ]


def test_results_of_a_running_batch_are_readable_and_say_so(
    app: Application, files: dict[str, bytes]
) -> None:
    running = app.submit(files)
    response = app.call("GET", f"/v1/batches/{running['id']}/results")
    assert response.headers["X-Incomplete"] == "true"
    assert len(response.text.splitlines()) == 40
    app.work()
    assert "X-Incomplete" not in app.call("GET", f"/v1/batches/{running['id']}/results").headers


def test_results_in_an_unknown_form_are_refused(app: Application, batch: dict[str, Any]) -> None:
    response = app.call("GET", f"/v1/batches/{batch['id']}/results?format=xlsx")
    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_parameter")
    assert response.get_json()["errors"][0]["pointer"] == "/query/format"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/csv", "text/csv"),
        ("text/csv;q=0.4, application/x-ndjson;q=0.8", "application/x-ndjson"),
        ("text/csv;q=0.8, application/x-ndjson;q=0.4", "text/csv"),
        ("text/csv, */*;q=0.1", "text/csv"),
        ("application/x-ndjson;q=0, */*", "text/csv"),
        ("text/*", "text/csv"),
        ("*/*", "application/x-ndjson"),
        ("image/png", None),
        ("text/csv;q=0", None),
    ],
)
def test_results_come_in_the_form_that_accept_weighs_most(
    app: Application, batch: dict[str, Any], accept: str, media_type: str | None
) -> None:
    response = app.call("GET", f"/v1/batches/{batch['id']}/results", Accept=accept)
    if media_type is None:
        assert (response.status_code, response.get_json()["code"]) == (406, "unsupported_format")
    else:
        assert (response.status_code, response.mimetype) == (200, media_type)
        assert response.headers["Vary"] == "Accept"


@pytest.mark.parametrize("name", ["=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg"])
def test_a_spreadsheet_takes_no_name_for_a_formula(app: Application, name: str) -> None:
    made = app.submit({name: b""})
    response = app.call("GET", f"/v1/batches/{made['id']}/results?format=csv")
    assert next(csv.DictReader(io.StringIO(response.text)))["filename"] == "'" + name
    exact = app.call("GET", f"/v1/batches/{made['id']}/results?format=csv&spreadsheet=false")
    assert next(csv.DictReader(io.StringIO(exact.text)))["filename"] == name
    assert app.results(made["id"])[0]["filename"] == name


def test_more_items_than_one_block_are_streamed_whole(app: Application) -> None:
    made = app.submit({f"{number}.jpg": b"" for number in range(4321)})
    names = [item["filename"] for item in app.results(made["id"])]
    assert names == [f"{number}.jpg" for number in range(4321)]
