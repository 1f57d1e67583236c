"""The client gets a short word about our trouble; the log says what it was."""

import io

import pytest
from sqlalchemy import text

from shared.errors import ArtifactError
from tests.harness.site import Site
from web.http import problems


def test_a_database_that_cannot_answer_is_a_503_and_the_log_says_why(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with site.service.database.write() as connection:
        connection.execute(text("ALTER TABLE batches RENAME TO mislaid"))
    answer = site.client.get("/v1/batches", headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "database_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert "GET /v1/batches: the database can't answer: no such table: batches" in caplog.text


def test_no_answer_shows_an_address_in_memory(site: Site) -> None:
    error = ArtifactError(f"it is no usable artifact: cannot read {io.BytesIO()!r}")
    assert " at 0x" in error.detail
    with site.app.test_request_context("/v1/models"):
        detail = problems.respond(problems.as_problem(error)).get_json()["detail"]
    assert detail == "it is no usable artifact: cannot read <_io.BytesIO object>"
