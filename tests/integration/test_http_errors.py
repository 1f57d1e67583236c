"""Refusals over HTTP are problem documents, and none is a fault of the service."""

from pathlib import Path
from typing import Any

import pytest

from tests.harness.application import Application, application
from tests.harness.forms import as_form, image_parts, options_part
from tests.harness.processes import until


@pytest.fixture(scope="module")
def few(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:5])


def test_a_problem_has_the_members_of_rfc_9457_and_the_request_id(app: Application) -> None:
    response = app.call("GET", "/v1/batches/bat_none", X_Request_Id="my-request-7")
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.headers["X-Request-Id"] == "my-request-7"
    problem = response.get_json()
    assert problem["request_id"] == "my-request-7"
    assert problem["instance"] == "/v1/batches/bat_none"
    assert (problem["status"], problem["code"], problem["title"]) == (404, "not_found", "not found")
    page = app.call("GET", problem["type"], key="")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "<h1><code>not_found</code></h1>" in page.text


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
