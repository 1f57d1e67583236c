"""A tenant's quotas: counted as bytes are stored and purged, refused with a code and what to do, set by an operator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import func, select, update

from shared.access import quotas
from shared.store.tables import Batch, Quota
from tests.harness.application import Application
from tests.harness.forms import image_parts, options_part
from worker.upkeep.site import Site, open_site
from worker.upkeep.steps import quotas as step


@pytest.fixture(autouse=True)
def no_memory(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """The capacity asks the database at every submission."""
    monkeypatch.setattr(app.service.capacity, "remember_s", 0.0)


@pytest.fixture(scope="module")
def four(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:4])


@contextmanager
def bounds(app: Application, tenant: str = "default", **changed: float) -> Iterator[None]:
    """Bounds of a tenant for a while, set over the API."""
    asked = app.call("PATCH", f"/v1/quotas?tenant={tenant}", json=changed)
    assert asked.status_code == 200, asked.text
    try:
        yield
    finally:
        app.call("PATCH", f"/v1/quotas?tenant={tenant}", json=dict.fromkeys(changed))


def send(app: Application, files: dict[str, bytes], **options: Any) -> Any:
    asked = [options_part(options)] if options else []
    return app.post_form("/v1/batches", *asked, *image_parts(files))


def used(app: Application) -> tuple[int, int]:
    found = app.get("/v1/quotas")["used"]
    with app.database.read() as connection:
        mine = select(func.coalesce(func.sum(Batch.bytes), 0), func.coalesce(func.sum(Batch.total), 0))
        kept = connection.execute(mine.where(Batch.tenant == "default", Batch.sealed.is_(True))).one()
    assert (found["stored_bytes"], found["stored_items"]) == tuple(kept)
    return found["stored_bytes"], found["stored_items"]


def test_what_is_stored_is_counted_and_taken_off_when_it_is_purged(
    app: Application, four: dict[str, bytes]
) -> None:
    before = used(app)
    batch = app.finished(four)
    size = sum(map(len, four.values()))
    assert used(app) == (before[0] + size, before[1] + 4)
    assert app.call("DELETE", f"/v1/batches/{batch['id']}").status_code == 204
    assert used(app) == before


@pytest.mark.parametrize("quota", ["stored_bytes", "stored_items"])
def test_over_a_quota_of_what_is_stored_the_answer_says_which_and_what_to_do(
    app: Application, four: dict[str, bytes], quota: str
) -> None:
    app.finished(four)
    before = used(app)
    full = before[quota == "stored_items"]
    image = next(iter(four.values()))
    changed: dict[str, Any] = {quota: full}
    with bounds(app, **changed):
        for refused in (
            send(app, four),
            app.call("POST", "/v1/predict", data=image, content_type="image/jpeg"),
        ):
            problem = refused.get_json()
            assert (refused.status_code, problem["code"]) == (429, "quota_exceeded")
            assert int(refused.headers["Retry-After"]) >= 1
            assert f"`{quota}`" in problem["detail"] and str(full) in problem["detail"]
            assert "delete batches" in problem["detail"]
        other = app.make_key("other", "submit")
        assert app.post_form("/v1/batches", *image_parts(four), key=other).status_code == 202
    assert used(app) == before, "nothing was kept of what was refused"


def test_an_upload_that_passes_a_quota_on_its_way_is_undone(
    app: Application, four: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, folders = used(app), sorted(app.service.blobs.batch_ids())
    with bounds(app, stored_items=before[1] + 3):
        refused = send(app, four)
        assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
        assert send(app, dict(list(four.items())[:3])).status_code == 202
    app.work()
    assert used(app)[1] == before[1] + 3
    assert len(list(app.service.blobs.batch_ids())) == len(folders) + 1


def test_open_items_have_a_quota_of_the_tenants_own(app: Application, four: dict[str, bytes]) -> None:
    app.work()
    with bounds(app, open_items=4):
        assert send(app, four).status_code == 202
        refused = send(app, four)
        assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
        assert "`open_items`" in refused.get_json()["detail"]
        app.work()
        assert send(app, four).status_code == 202
    app.work()


def test_a_retention_beyond_the_quota_is_refused_and_the_default_is_cut(
    app: Application, four: dict[str, bytes]
) -> None:
    with bounds(app, retention_s=3600):
        for parts in ([options_part({"retention": 7200}), *image_parts(four)],
                      [*image_parts(four), options_part({"retention": 7200})]):  # fmt: skip
            refused = app.post_form("/v1/batches", *parts)
            problem = refused.get_json()
            assert (refused.status_code, problem["code"]) == (422, "retention_over_quota")
            assert problem["errors"][0]["pointer"] == "/options/retention"
            assert "3600" in problem["detail"]
        batch = app.finished(four)
        with app.database.read() as connection:
            kept = connection.scalar(select(Batch.retention_s).where(Batch.id == batch["id"]))
        assert kept == 3600
        assert app.finished(four, {"retention": 60})["status"] == "completed"


def test_an_operator_alone_sets_bounds_and_any_key_reads_its_own(app: Application) -> None:
    reader, admin = app.make_key("t1", "read"), app.make_key("t1", "admin")
    with bounds(app, "t1", stored_bytes=10**9, retention_s=60):
        shown = app.get("/v1/quotas", key=reader)
        assert (shown["tenant"], shown["own"]) == ("t1", ["stored_bytes", "retention_s"])
        assert shown["bounds"]["stored_bytes"] == 10**9
        assert shown["bounds"]["open_items"] == app.service.settings.max_tenant_items
        for key in (reader, admin):
            assert app.call("PATCH", "/v1/quotas", json={"stored_bytes": 0}, key=key).status_code == 403
            assert app.call("GET", "/v1/quotas?tenant=default", key=key).status_code == 403
    assert app.get("/v1/quotas", key=reader)["own"] == []
    assert app.call("PATCH", "/v1/quotas?tenant=*", json={}).status_code == 422
    assert app.call("PATCH", "/v1/quotas", json={"stored_bytes": -1}).status_code == 400
    assert app.call("PATCH", "/v1/quotas", json={"rows": 1}).status_code == 400


@pytest.fixture
def site(app: Application) -> Iterator[Site]:
    made = open_site(app.service.settings)
    yield made
    made.database.dispose()


def test_a_wrong_count_is_found_and_mended(app: Application, site: Site, four: dict[str, bytes]) -> None:
    app.finished(four)
    right = used(app)
    assert step.find(site, 10) == []
    with app.database.write() as connection:
        connection.execute(update(Quota).where(Quota.tenant == "default").values(used_bytes=7, used_items=-1))
    assert step.find(site, 10) == ["default"]
    assert step.find(site, 10) == ["default"], "find changes nothing"
    step.mend(site, ["default"])
    assert step.find(site, 10) == []
    with app.database.read() as connection:
        row = quotas.find(connection, "default")
    assert (row.used_bytes, row.used_items) == right
