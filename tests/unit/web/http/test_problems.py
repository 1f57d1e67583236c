"""The client gets a short word about our trouble; the log says what it was."""

import pytest
from sqlalchemy import text

from tests.harness.site import Site


def test_a_database_that_cannot_answer_is_a_503_and_the_log_says_why(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with site.service.database.write() as connection:
        connection.execute(text("ALTER TABLE batches RENAME TO mislaid"))
    answer = site.client.get("/v1/batches", headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "database_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert "GET /v1/batches: the database can't answer: no such table: batches" in caplog.text
