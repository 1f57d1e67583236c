"""Submitting batches over HTTP."""

from typing import Any

import pytest

from tests.harness.application import Application
from tests.harness.forms import image_parts, options_part

COUNTS = ("queued", "processing", "succeeded", "failed", "cancelled", "expired")


@pytest.fixture(scope="module")
def few(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:5])


def stored(app: Application) -> tuple[set[str], list[str]]:
    """(rows of batches, folders of bytes) that there are."""
    with app.database.read() as connection:
        rows = set(connection.exec_driver_sql("SELECT id FROM batches").scalars())
    return rows, sorted(app.service.blobs.batch_ids())


def test_a_submission_is_answered_with_the_batch_and_where_to_find_it(
    app: Application, few: dict[str, bytes]
) -> None:
    response = app.post_form("/v1/batches", *image_parts(few))
    batch = response.get_json()
    assert response.status_code == 202
    assert response.headers["Location"] == batch["links"]["self"]
    assert response.headers["Location"].endswith(f"/v1/batches/{batch['id']}")
    assert int(response.headers["Retry-After"]) >= 1
    assert batch["status"] == "queued"
    assert batch["counts"] == {"total": 5, "queued": 5, **dict.fromkeys(COUNTS[1:], 0)}
    assert batch["model"]["id"] == app.model_id


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_options_count_wherever_they_stand(app: Application, few: dict[str, bytes], place: str) -> None:
    asked = {
        "priority": "low",
        "metadata": {"line": "A3"},
        "operating_point": {"threshold": 0.25, "review_band": [0.2, 0.3]},
        "deadline": 3600,
        "retention": 60,
    }
    parts = image_parts(few)
    parts.insert({"first": 0, "middle": 2, "last": len(parts)}[place], options_part(asked))
    batch = app.post_form("/v1/batches", *parts).get_json()
    assert batch["priority"] == "low"
    assert batch["metadata"] == {"line": "A3"}
    assert batch["operating_point"] == {"threshold": 0.25, "review_band": [0.2, 0.3]}
    assert batch["deadline_at"] > batch["created_at"]
    app.work("low")
    ended = app.get(f"/v1/batches/{batch['id']}")
    assert ended["status"] == "completed"
    assert {item["threshold"] for item in app.results(batch["id"])} == {0.25}


def test_every_count_adds_up_and_every_item_has_a_verdict(app: Application, few: dict[str, bytes]) -> None:
    batch = app.finished(few)
    assert batch["status"] == "completed"
    assert batch["outcome"] == "all_succeeded"
    assert batch["counts"]["total"] == sum(batch["counts"][name] for name in COUNTS) == 5
    assert sum(batch["verdicts"].values()) == 5
    assert batch["progress"] == 1.0
    assert batch["retain_until"] > batch["finished_at"]


@pytest.mark.parametrize("name", ["line A3", "Linie Süd, 4711", "列", "x" * 200])
def test_a_batch_shows_the_name_it_was_given(app: Application, few: dict[str, bytes], name: str) -> None:
    made = app.submit(few, {"name": name})
    assert made["name"] == app.get(f"/v1/batches/{made['id']}")["name"] == name
    assert app.submit(few)["name"] is None


def test_a_webhook_secret_that_the_service_made_is_shown_at_each_answer_to_the_submission(
    app: Application, few: dict[str, bytes]
) -> None:
    asked, key = {"webhook": {"url": "https://receiver.example"}}, {"Idempotency_Key": "shows its secret"}
    first, again = (app.submit(few, asked, **key) for _ in range(2))
    assert first["webhook_secret"].startswith("whsec_")
    assert again["webhook_secret"] == first["webhook_secret"]
    assert "webhook_secret" not in app.get(f"/v1/batches/{first['id']}")
    asked["webhook"]["secret"] = first["webhook_secret"]
    assert "webhook_secret" not in app.submit(few, asked)


BAD_OPTIONS = [
    ({"name": "x" * 201}, "/options/name"),
    ({"name": ""}, "/options/name"),
    ({"name": "a\nb"}, "/options/name"),
    ({"operating_point": {"treshold": 0.5}}, "/options/operating_point/treshold"),
    ({"webhook": {"url": "https://x.example", "filters": {}}}, "/options/webhook/filters"),
    ({"priority": "urgent"}, "/options/priority"),
    ({"colour": "red"}, "/options/colour"),
    ({"model": 7}, "/options/model"),
    ({"metadata": []}, "/options/metadata"),
    ({"metadata": {"x": "y" * 20_000}}, "/options/metadata"),
    ({"operating_point": 3}, "/options/operating_point"),
    ({"operating_point": {"threshold": 2}}, "/options/operating_point/threshold"),
    ({"operating_point": {"review_band": [0.9, 0.1]}}, "/options/operating_point/review_band"),
    ({"webhook": "x"}, "/options/webhook"),
    ({"webhook": {"url": "ftp://x"}}, "/options/webhook/url"),
    ({"webhook": {"url": "https://x.example", "secret": "short"}}, "/options/webhook/secret"),
    ({"webhook": {"url": "https://x.example", "events": ["no.such"]}}, "/options/webhook/events/0"),
    ({"deadline": -1}, "/options/deadline"),
    ({"retention": True}, "/options/retention"),
    ({"on_error": "explode"}, "/options/on_error"),
]


@pytest.mark.parametrize(("asked", "pointer"), BAD_OPTIONS, ids=[entry[1] for entry in BAD_OPTIONS])
def test_a_bad_option_is_named_by_its_pointer_and_nothing_is_kept(
    app: Application, few: dict[str, bytes], asked: dict[str, Any], pointer: str
) -> None:
    before = stored(app)
    response = app.post_form("/v1/batches", *image_parts(few), options_part(asked))
    unstated = pointer.endswith("/review_band") or asked == {"metadata": {"x": "y" * 20_000}}
    assert response.status_code == (422 if unstated else 400)  # a condition that JSON Schema cannot state
    assert response.get_json()["code"] == "invalid_options"
    assert [entry["pointer"] for entry in response.get_json()["errors"]] == [pointer]
    assert stored(app) == before


@pytest.mark.parametrize("point", [{"threshold": 0.9}, {"review_band": [0.6, 0.7]}])
def test_a_part_of_an_operating_point_that_does_not_fit_the_models_is_refused_naming_both(
    app: Application, few: dict[str, bytes], point: dict[str, Any]
) -> None:
    before = stored(app)
    response = app.post_form("/v1/batches", *image_parts(few), options_part({"operating_point": point}))
    assert (response.status_code, response.get_json()["code"]) == (422, "invalid_operating_point")
    shown = response.get_json()["detail"]
    assert str(point.get("threshold", 0.5)) in shown
    assert str(point.get("review_band", [0.5, 0.5])) in shown
    assert [error["pointer"] for error in response.get_json()["errors"]] == ["/options/operating_point"]
    assert stored(app) == before


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([], 400, "no_images"),
        ([options_part({})], 400, "no_images"),
        ([("options", None, b"{not json")], 400, "invalid_options"),
        ([("options", None, b"[]")], 400, "invalid_options"),
        ([("photos", "a.jpg", b"x")], 400, "unknown_part"),
        ([("images", "a.jpg", b"x"), options_part({"model": "no-such"})], 422, "unknown_model"),
        ([("archive", "a.zip", b"x"), ("archive", "b.zip", b"x")], 400, "too_many_archives"),
        ([options_part({}), options_part({})], 400, "invalid_options"),
    ],
    ids=[
        "nothing",
        "options alone",
        "no json",
        "no object",
        "unknown part",
        "unknown model",
        "two archives",
        "twice",
    ],
)
def test_a_submission_that_cannot_be_used_is_refused_whole(
    app: Application, parts: list[Any], status: int, code: str
) -> None:
    before = stored(app)
    response = app.post_form("/v1/batches", *parts)
    assert (response.status_code, response.get_json()["code"]) == (status, code)
    assert stored(app) == before


def test_an_unknown_part_is_named(app: Application) -> None:
    problem = app.post_form("/v1/batches", ("photos", "a.jpg", b"x")).get_json()
    assert [(entry["code"], entry["pointer"]) for entry in problem["errors"]] == [("unknown_part", "/photos")]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 400, "bad_request"),
        ("text/plain", b"x", 415, "unsupported_media_type"),
        ("multipart/form-data", b"x", 415, "unsupported_media_type"),
        ("multipart/form-data; boundary=x", b"no boundary here", 400, "malformed_multipart"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="images"; '
         b'filename="a.jpg"\r\n\r\nhalf an image', 400, "incomplete_body"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--x--\r\n", 400,
         "malformed_multipart"),
    ],
    ids=["json", "text", "no boundary", "not multipart", "cut off", "no name"],
)  # fmt: skip
def test_a_body_of_the_wrong_kind_is_refused(
    app: Application, content_type: str, body: bytes, status: int, code: str
) -> None:
    before = stored(app)
    response = app.call("POST", "/v1/batches", data=body, content_type=content_type)
    assert (response.status_code, response.get_json()["code"]) == (status, code)
    assert stored(app) == before


def test_a_batch_of_empty_files_alone_has_failed(app: Application) -> None:
    batch = app.submit({"a.jpg": b"", "b.jpg": b""})
    assert (batch["status"], batch["outcome"]) == ("failed", "all_failed")
    assert {item["error"]["code"] for item in app.results(batch["id"])} == {"corrupt_image"}


def test_a_name_that_climbs_is_only_a_label(app: Application, few: dict[str, bytes]) -> None:
    batch = app.submit({"../../etc/passwd": few["part-000.jpg"], "\\\\x\\y.jpg": few["part-001.jpg"]})
    names = [item["filename"] for item in app.results(batch["id"])]
    assert names == ["../../etc/passwd", "\\x\\y.jpg"]
    folder = app.service.blobs.batch_folder(batch["id"])
    assert [path.name for path in folder.iterdir()] == ["000000.pack"]


def test_an_alert_of_many_defects_is_an_option_whose_numbers_are_checked(
    app: Application, few: dict[str, bytes]
) -> None:
    batch = app.finished(few, {"defect_rate_alert": {"share": 0.0, "after": 1}})
    with app.database.read() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT alert_share, alert_after FROM tellings WHERE batch_id = '{batch['id']}'"
        ).all()
    assert [tuple(row) for row in rows] == [(0.0, 1)]
    for alert in (
        {"share": 1, "after": 1},
        {"share": 0.5},
        {"share": 0.5, "after": 0},
        {"share": -0.1, "after": 1},
    ):
        answer = app.post_form("/v1/batches", options_part({"defect_rate_alert": alert}), *image_parts(few))
        assert answer.status_code in (400, 422), alert
        assert answer.get_json()["errors"][0]["pointer"].startswith("/options/defect_rate_alert")
