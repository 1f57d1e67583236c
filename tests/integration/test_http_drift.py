"""Drift windows over HTTP, and the counts of which workers make them."""

from pathlib import Path
from typing import Any

from sqlalchemy import select

from shared.registry import versions
from shared.registry.artifact import read_artifact
from shared.store.tables import Tally
from tests.harness import drifting
from tests.harness.application import Application
from tests.harness.artifacts import write_untrained


def look(app: Application, line: str, *, drifted: bool, tenant: str = "default") -> None:
    with app.database.write() as connection:
        drifting.look(connection, tenant, app.model_id, line, drifted=drifted)


def test_windows_are_listed_newest_first_with_filters_and_apart_by_tenant(app: Application) -> None:
    for drifted in (False, True, True):
        look(app, "listed", drifted=drifted)
    look(app, "listed too", drifted=False)
    look(app, "listed", drifted=True, tenant="stranger")

    def listed(query: str) -> list[dict[str, Any]]:
        return list(app.get(f"/v1/stats/drift?{query}")["data"])

    mine = listed(f"line=listed&model_id={app.model_id}")
    assert [window["drifted"] for window in mine] == [True, True, False]
    assert [window["began_at"] for window in mine] == [mine[1]["ended_at"], mine[2]["ended_at"], None]
    newest = mine[0]
    assert newest["images"] == drifting.WINDOW
    assert newest["distances"]["unfamiliarity"] > newest["limit"]
    assert sum(newest["counts"]["score"]) == drifting.WINDOW
    assert listed("line=listed&drifted=true") == mine[:2]
    assert listed("line=listed&drifted=false") == mine[2:]
    assert listed("model_id=mdl_other") == []
    assert [window["line"] for window in listed("limit=1")] == ["listed too"]
    paged, query = [], "line=listed&limit=2"
    while query:
        page = app.get(f"/v1/stats/drift?{query}")
        paged += page["data"]
        query = f"line=listed&limit=2&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert paged == mine
    for bad in ("line=", "drifted=perhaps", "limit=0", "colour=red"):
        assert app.call("GET", f"/v1/stats/drift?{bad}").status_code == 400
    assert app.call("GET", "/v1/stats/drift", key=app.make_key("default", "submit")).status_code == 403


def test_a_worker_counts_the_images_that_it_judges_and_the_metrics_leave_them_out(
    app: Application, images: dict[str, bytes], tmp_path: Path
) -> None:
    card = {"reference": drifting.REFERENCE.as_card()}
    artifact = read_artifact(write_untrained(tmp_path / "known.gonogo", seed=5, card=card))
    model_id = versions.register(app.database, app.service.blobs, artifact)
    some = dict(list(images.items())[:3])
    for asked in (
        {"line": "tallied-line", "model": model_id},
        {"line": "tallied-line"},
    ):  # the other has no reference
        batch = app.finished(some, asked)
    # Images that are judged again do not count again.
    app.call("POST", f"/v1/batches/{batch['id']}/rerun", json={"model": model_id})
    app.work("low")
    app.runtime.tallies.write(app.database)
    label = f"default,{model_id},tallied-line"
    with app.database.read() as connection:
        rows = connection.execute(
            select(Tally.label, Tally.count).where(Tally.label.contains("tallied-line"))
        )
        found = [(row[0], row[1]) for row in rows]
    assert {name for name, _ in found} == {label}
    assert sum(count for _, count in found) == 2 * len(some)
    assert "tallied-line" not in app.call("GET", "/metrics").text
