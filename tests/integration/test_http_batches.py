"""Submitting, listing, polling, cancelling and deleting batches over HTTP."""

from pathlib import Path
from typing import Any

import pytest

from tests.harness.application import Application, application
from tests.harness.forms import as_form, image_parts, options_part
from tests.harness.processes import until

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
    assert response.status_code == 400
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
    assert problem["errors"] == [{"code": "unknown_part", "pointer": "/photos"}]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_media_type"),
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
    assert names == ["../../etc/passwd", "x/y.jpg"]
    folder = app.service.blobs.batch_folder(batch["id"])
    assert [path.name for path in folder.iterdir()] == ["000000.pack"]


def test_pages_of_the_list_hold_each_batch_once_the_running_first(
    app: Application, few: dict[str, bytes]
) -> None:
    key = app.make_key("lister", "submit", "read")
    ended = [app.finished(few, key=key)["id"] for _ in range(3)]
    running = [app.submit(few, key=key)["id"] for _ in range(3)]
    seen, cursor = [], ""
    while True:
        page = app.get(f"/v1/batches?limit=2&cursor={cursor}", key=key)
        seen += [batch["id"] for batch in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
        app.submit(few, key=key)  # a page must not shift under new batches
    assert seen == [*reversed(running), *reversed(ended)]


def test_the_list_is_filtered_by_state_time_and_origin(app: Application, few: dict[str, bytes]) -> None:
    key = app.make_key("filterer", "submit", "read")
    first = app.finished(few, {"metadata": {"line": "A3"}}, key=key)
    second = app.submit(few, {"metadata": {"line": "B1"}}, key=key)

    def found(query: str) -> list[str]:
        return [batch["id"] for batch in app.get(f"/v1/batches?{query}", key=key)["data"]]

    assert found("status=completed") == [first["id"]]
    assert found("status=queued,processing") == [second["id"]]
    assert found(f"created_after={first['created_at']}") == [second["id"]]
    assert found(f"created_before={second['created_at']}") == [first["id"]]
    assert found("origin=predict") == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=101", "cursor=nonsense", "cursor=WzFd", "created_after=yesterday"]
)
def test_a_parameter_that_cannot_be_is_refused(app: Application, query: str) -> None:
    response = app.call("GET", f"/v1/batches?{query}")
    assert response.status_code == 400
    assert response.get_json()["code"] in {"invalid_parameter", "invalid_cursor"}


def test_a_poll_that_knows_the_state_gets_304_until_it_changes(
    app: Application, few: dict[str, bytes]
) -> None:
    path = f"/v1/batches/{app.submit(few)['id']}"
    first = app.call("GET", path)
    assert int(first.headers["Retry-After"]) >= 1
    again = app.call("GET", path, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    app.work()
    changed = app.call("GET", path, If_None_Match=first.headers["ETag"])
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]
    assert "Retry-After" not in changed.headers


def test_cancelling_ends_what_has_not_begun(app: Application, few: dict[str, bytes]) -> None:
    batch = app.submit(few)
    cancelled = app.call("POST", f"/v1/batches/{batch['id']}/cancel").get_json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["counts"]["cancelled"] == cancelled["counts"]["total"] == 5
    again = app.call("POST", f"/v1/batches/{batch['id']}/cancel")
    assert (again.status_code, again.get_json()["status"]) == (200, "cancelled")
    app.work()
    assert {item["status"] for item in app.results(batch["id"])} == {"cancelled"}


def test_what_has_ended_cannot_be_cancelled(app: Application, few: dict[str, bytes]) -> None:
    batch = app.finished(few)
    response = app.call("POST", f"/v1/batches/{batch['id']}/cancel")
    assert (response.status_code, response.get_json()["code"]) == (409, "wrong_state")


def test_deleting_removes_rows_and_bytes_of_what_has_ended_only(
    app: Application, few: dict[str, bytes]
) -> None:
    batch = app.submit(few)
    path = f"/v1/batches/{batch['id']}"
    assert app.call("DELETE", path).status_code == 409
    app.work()
    assert app.call("DELETE", path).status_code == 204
    assert app.call("GET", path).status_code == 404
    assert app.call("GET", f"{path}/results").status_code == 404
    with app.database.read() as connection:
        for table in ("items", "chunks"):
            query = f"SELECT count(*) FROM {table} WHERE batch_id = '{batch['id']}'"
            assert connection.exec_driver_sql(query).scalar() == 0
    assert not app.service.blobs.batch_folder(batch["id"]).exists()


def test_a_problem_has_the_members_of_rfc_9457_and_the_request_id(app: Application) -> None:
    response = app.call("GET", "/v1/batches/bat_none", X_Request_Id="my-request-7")
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.headers["X-Request-Id"] == "my-request-7"
    problem = response.get_json()
    assert problem["request_id"] == "my-request-7"
    assert problem["instance"] == "/v1/batches/bat_none"
    assert (problem["status"], problem["code"], problem["title"]) == (404, "not_found", "not found")
    anchor = problem["type"].partition("#")[2]
    assert f'id="{anchor}"' in app.call("GET", "/docs/errors").text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/no-such", 404), ("PUT", "/v1/batches", 405)]
)
def test_errors_of_the_framework_are_problems_too(
    app: Application, method: str, path: str, status: int
) -> None:
    response = app.call(method, path)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.get_json()["request_id"] == response.headers["X-Request-Id"]


def test_a_body_over_the_limit_is_refused_before_it_is_read(app: Application) -> None:
    most = app.service.settings.max_request_bytes
    form = as_form(("images", "a.jpg", b"x"))
    response = app.call("POST", "/v1/batches", **form, environ_overrides={"CONTENT_LENGTH": str(most + 1)})
    assert (response.status_code, response.get_json()["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/v1/batches/bat_%00", {}),
        ("GET", "/v1/items/itm_%00", {}),
        ("GET", "/v1/batches?status=%00", {}),
        ("GET", "/v1/batches?origin=%00", {}),
        ("GET", "/v1/batches/bat_%ff%fe", {}),
        ("DELETE", "/v1/api-keys/%00", {}),
        ("POST", "/v1/models/%00/activate", {}),
        ("POST", "/v1/api-keys", {"json": {"name": "\0"}}),
        ("POST", "/v1/batches", as_form(options_part({"model": "\0"}), ("images", "a.jpg", b"x"))),
        (
            "POST",
            "/v1/batches",
            as_form(options_part({"metadata": {"\0": "\0"}}), ("images", "\0.jpg", b"x")),
        ),
    ],
)
def test_a_value_that_a_database_cannot_hold_is_no_fault_of_the_service(
    app: Application, method: str, path: str, options: dict[str, Any]
) -> None:
    assert app.call(method, path, **options).status_code < 500


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        ({"max_tenant_items": 5}, 429, "quota_exceeded"),
        ({"max_backlog_items": 5}, 503, "backlog_full"),
        ({"max_backlog_bytes": 5}, 503, "backlog_full"),
        ({"min_free_bytes": 2**62}, 503, "storage_full"),
    ],
    ids=["tenant", "items", "bytes", "disk"],
)
def test_what_would_be_too_much_is_put_off_until_there_is_room(
    limits: dict[str, Any],
    status: int,
    code: str,
    few: dict[str, bytes],
    artifact: Path,
    broker_url: str,
    tmp_path: Path,
) -> None:
    with application(tmp_path, artifact, broker_url, **limits) as app:
        form = as_form(*image_parts(few))

        def submitted(key: str | None = None) -> tuple[int, str, bool]:
            response = app.call("POST", "/v1/batches", key=key, **form)
            body = response.get_json()
            return response.status_code, body.get("code", ""), int(response.headers.get("Retry-After", 0)) > 0

        until(lambda: submitted() == (status, code, True), 30, "the bound is met")
        assert submitted(app.make_key("another", "submit"))[0] == (202 if code == "quota_exceeded" else 503)
        if code != "storage_full":
            app.work()
            until(lambda: submitted()[0] == 202, 30, "there is room again")
