"""No query that the API can issue reads a big table from end to end: the plans of both databases say so."""

import pytest
from sqlalchemy import text

from shared.access import audit
from shared.access.audit import Actor
from shared.lifecycle import shadows
from shared.store.tables import Base
from tests.harness.application import Application
from tests.harness.every_query import BIG, urls, whole_scans
from tests.harness.many_parts import fill
from tests.harness.plans import plan, statements


@pytest.fixture(scope="module")
def places(app: Application) -> dict[str, str]:
    """The ids of things that are there, by the name of their place in a path."""
    batch_id = fill(app.database, "default", batches=12, parts=100)[5]
    fill(app.database, "other", batches=12, parts=100)
    endpoint = {"url": "https://receiver.example/", "events": ["batch.completed"]}
    made = app.call("POST", "/v1/webhook-endpoints", json=endpoint)
    with app.database.write() as connection:
        shadow = shadows.start(connection, "default", app.model_id, "mdl_none", 0.5, None)[0].id
        for _ in range(50):
            audit.append(
                connection, Actor("key_x", None, None), "batch.cancel", tenant="default", object_id="bat_x"
            )
        if not app.database.is_sqlite:
            connection.execute(text("ANALYZE"))
    return {
        "batch_id": batch_id,
        "other_id": batch_id,
        "item_id": app.get(f"/v1/batches/{batch_id}/items?limit=1")["data"][0]["id"],
        "model_id": app.model_id,
        "endpoint_id": made.get_json().get("id", "whe_none"),
        "delivery_id": "whd_none",
        "key_id": "key_none",
        "shadow_id": shadow,
    }


def test_every_query_finds_its_rows_by_an_index(app: Application, places: dict[str, str]) -> None:
    app.get("/v1/batches")  # the key is known from now on
    asked, faults = 0, []
    for url in urls(app, places):
        with statements(app.database.engine) as seen:
            answers = [app.call("GET", url)]
            body = answers[0].get_json(silent=True) or {}
            if body.get("next_cursor"):
                answers.append(
                    app.call("GET", f"{url}{'&' if '?' in url else '?'}cursor={body['next_cursor']}")
                )
            list(answers[-1].response)
        assert {answer.status_code for answer in answers} <= {200, 404}, (url, answers[0].text)
        read = [(sql, given) for sql, given in seen if sql.lstrip().startswith(("SELECT", "WITH"))]
        for sql, given in read:
            found = plan(app.database, sql, given, small=True)
            faults += [f"{url} reads all {table}\n{sql}\n{found}" for table in whole_scans(found)]
        asked += 1
    assert faults == [], "\n\n".join(faults)
    assert asked > 60


def test_a_scan_of_a_whole_table_is_seen(app: Application) -> None:
    for table in sorted({*BIG} & {*Base.metadata.tables}):
        column = next(iter(Base.metadata.tables[table].columns)).name
        found = plan(app.database, f"SELECT * FROM {table} WHERE '' || {column} = 'x'", ())
        assert whole_scans(found) == [table], found
