"""A part is found by one look into an index, however many items there are: the plans of both databases say so."""

import json

import pytest

from tests.harness.application import Application
from tests.harness.many_parts import VIEWS, fill
from tests.harness.plans import plan, statements

TABLES = ("parts", "items", "batches")


@pytest.fixture(scope="module")
def key(app: Application) -> str:
    """A key of a tenant with 40 batches of 600 parts."""
    fill(app.database, "tracer", batches=40, parts=600)
    return app.make_key("tracer", "read")


@pytest.mark.parametrize(
    ("query", "index", "found"),
    [
        ("/v1/parts?part_id=SN-471", "ix_parts_part_id", 40),
        ("/v1/parts?part_id=SN-471&lot=lot-7", "", 1),
        ("/v1/parts?lot=lot-7&limit=20", "", 20),
    ],
)
def test_a_part_is_found_by_an_index(app: Application, key: str, query: str, index: str, found: int) -> None:
    app.get(query, key=key)  # the key is known from now on
    with statements(app.database.engine) as seen:
        parts = app.get(query, key=key)["data"]
    assert [len(part["views"]) for part in parts] == [VIEWS] * found
    asked = [(text, given) for text, given in seen if any(f"FROM {table}" in text for table in TABLES)]
    assert len(asked) == 2, [text for text, _ in asked]
    plans = [plan(app.database, text, given) for text, given in asked]
    assert index in "\n".join(plans), json.dumps(plans, indent=1)
    assert "ix_items_part" in plans[-1], plans[-1]
    for table in ("parts", "items"):
        whole = (f"Seq Scan on {table}", f"SCAN {table}", f"Seq Scan on {table} ")
        assert not any(each in text for each in whole for text in plans), plans
