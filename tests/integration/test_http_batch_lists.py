"""Listing, polling, cancelling and deleting batches over HTTP."""

from urllib.parse import urlencode

import pytest

from tests.harness.application import Application
from tests.harness.plans import statements


@pytest.fixture(scope="module")
def few(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:5])


def test_pages_of_the_list_hold_each_batch_once_the_running_first(
    app: Application, few: dict[str, bytes]
) -> None:
    key = app.make_key("lister", "submit", "read")
    ended = [app.finished(few, key=key)["id"] for _ in range(3)]
    running = [app.submit(few, key=key)["id"] for _ in range(3)]
    seen, cursor = [], ""
    while True:
        page = app.get(f"/v1/batches?limit=2{cursor}", key=key)
        seen += [batch["id"] for batch in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
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


def test_the_list_is_filtered_by_labels_name_and_metadata(app: Application, few: dict[str, bytes]) -> None:
    key = app.make_key("labeller", "submit", "read")
    labels = {"lot": "4711", "order": "PO 1", "line": "A3", "station": "2", "operator": "early"}
    notes = {"shift": "früh", "run": 7, "ok": True, "a.b": "1", "deep": {"x": 1}}
    first = app.submit(few, {"name": "Bolts 100% steel", **labels, "metadata": notes}, key=key)
    second = app.submit(few, {"name": "bolts 1000", "lot": "4712", "metadata": {"run": "seven"}}, key=key)
    assert {label: first[label] for label in labels} == labels
    assert second["order"] is None

    def found(**query: str) -> list[str]:
        return [batch["id"] for batch in app.get(f"/v1/batches?{urlencode(query)}", key=key)["data"]]

    for label, value in labels.items():
        assert found(**{label: value}) == [first["id"]], label
        assert found(**{label: "none such"}) == []
    assert found(q="BOLTS") == [second["id"], first["id"]]
    assert found(q="100%") == [first["id"]], "the text is no pattern"
    for member, value in {"shift": "früh", "run": "7", "ok": "true", "a.b": "1"}.items():
        assert found(**{f"metadata.{member}": value}) == [first["id"]], member
    assert found(**{"metadata.run": "seven"}) == [second["id"]]
    assert found(**{"metadata.run": "7", "metadata.shift": "spät"}) == []
    assert found(lot="4712", q="bolts") == [second["id"]]
    third = app.submit(few, {"metadata": {"ok": 1, "früh": False, "word": "true"}}, key=key)
    assert found(**{"metadata.ok": "1"}) == [third["id"]], "true is no number"
    assert found(**{"metadata.ok": "true"}) == [first["id"]], "1 is no boolean"
    assert found(**{"metadata.früh": "0"}) == []
    assert found(**{"metadata.früh": "false"}) == [third["id"]]
    assert found(**{"metadata.word": "true"}) == [third["id"]], "a boolean also finds the text"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=x",
        "limit=101",
        "cursor=",
        "cursor=nonsense",
        "cursor=WzFd",
        "created_after=yesterday",
        "q=",
        "metadata=x",
        "metadata.a=1&metadata.a=2",
        "lot=1&lot=2",
        "lots=1",
        "line.x=1",
    ],
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
    with statements(app.database.engine) as asked:
        again = app.call("GET", path, If_None_Match=first.headers["ETag"])
    assert len(asked) == 1, asked
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
