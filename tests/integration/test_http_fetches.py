"""Images named by URL: accepted at once, fetched by a worker, judged like any other image, and steered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from shared.broker import queues
from shared.lifecycle import closing, fetches
from shared.store.engine import database_time
from shared.store.tables import Batch
from tests.harness.application import Application
from tests.harness.fetching import (
    MOST_BYTES,
    batch_of,
    due_items,
    fetch_due,
    fetch_rows,
    fetching_application,
    make_due,
    place_of,
    submit,
)
from tests.harness.image_server import ImageServer
from tests.harness.processes import until
from tests.harness.receivers import status
from tests.integration.test_http_inputs import uri
from worker.fetching.fetch import fetch
from worker.upkeep.site import open_site
from worker.upkeep.steps import unfetched


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("installation")
    with fetching_application(request.param, folder, artifact, broker_url) as made:
        yield made


@pytest.fixture
def server() -> Iterator[ImageServer]:
    made = ImageServer()
    yield made
    made.close()


@pytest.fixture
def small(images: dict[str, bytes]) -> list[bytes]:
    return [data for data in images.values() if len(data) < MOST_BYTES]


def test_a_mixed_submission_is_accepted_at_once_and_ends_as_one_batch(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    urls = [server.image(f"/line%20a/{number}.jpg", data) for number, data in enumerate(small[:3])]
    inputs: list[dict[str, Any]] = [
        {"data": uri(small[3])},
        {"url": urls[0], "custom_id": "c-1", "part_id": "SN-1", "view": "top", "metadata": {"camera": 1}},
        {"data": uri(small[4]), "part_id": "SN-1"},
        {"data": uri(small[5])},
        {"url": urls[1] + "?size=full#top"},
        {"url": urls[2], "filename": "last.jpg"},
    ]
    server.image("/line%20a/1.jpg?size=full", small[1])
    batch = submit(app, inputs)
    assert batch["counts"]["queued"] == 6 and server.gets == []
    app.work()  # what came with the request is judged before anything is fetched
    between = batch_of(app, batch["id"])
    assert (between["counts"]["queued"], between["counts"]["succeeded"]) == (3, 3)
    assert (between["status"], between["parts"]["review"]) == ("processing", 0)
    assert fetch_due(app) == ["stored"] * 3
    assert batch_of(app, batch["id"])["counts"]["queued"] == 3
    app.work()
    ended = batch_of(app, batch["id"])
    assert (ended["status"], ended["outcome"]) == ("completed", "all_succeeded")
    shown = app.results(batch["id"])
    names = ["input-000001.jpg", "0.jpg", "input-000003.jpg", "input-000004.jpg", "1.jpg", "last.jpg"]
    assert [item["filename"] for item in shown] == names
    assert (shown[1]["custom_id"], shown[1]["view"], shown[1]["metadata"]) == ("c-1", "top", {"camera": 1})
    assert all(item["sha256"] for item in shown)
    asked = app.finished({"same.jpg": small[0]})
    [same] = app.results(asked["id"])
    assert (same["sha256"], same["score"]) == (shown[1]["sha256"], shown[1]["score"])
    assert max(server.asked.values()) == 1 and fetch_rows(app, batch["id"]) == 0
    sent = server.gets[0][1]
    assert sent["host"] == f"127.0.0.1:{server.port}" and "authorization" not in sent


def test_the_same_inputs_are_the_same_content_and_another_url_is_another(
    app: Application, server: ImageServer
) -> None:
    def post(url: str) -> Any:
        asked = {"inputs": [{"url": url, "filename": "a.jpg"}]}
        return app.call("POST", "/v1/batches", json=asked, Idempotency_Key="by-url").get_json()

    first = post(server.url("/a.jpg"))
    assert post(server.url("/a.jpg"))["id"] == first["id"]
    assert post(server.url("/b.jpg"))["code"] == "idempotency_key_reused"
    assert fetch_due(app) == ["failed"] and server.asked == {"/a.jpg": 1}


def test_failed_items_are_fetched_again_by_a_retry(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    batch = submit(app, [{"url": server.serve("/late.jpg", status(404), status(200, small[0]))}])
    this = f"/v1/batches/{batch['id']}"
    assert fetch_due(app) == ["failed"]
    ended = batch_of(app, batch["id"])
    assert (ended["status"], ended["outcome"]) == ("failed", "all_failed"), "nothing usable was in it"
    assert app.call("POST", f"{this}/retry").status_code == 200
    again = batch_of(app, batch["id"])
    assert (again["status"], again["counts"]["queued"], again["counts"]["failed"]) == ("queued", 1, 0)
    assert fetch_due(app) == ["stored"]
    app.work()
    assert batch_of(app, batch["id"])["outcome"] == "all_succeeded"
    assert app.call("POST", f"{this}/retry").status_code == 409


def test_cancel_pause_deadline_and_delete_reach_what_is_not_fetched_yet(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    url = server.image("/a.jpg", small[0])
    cancelled = submit(app, [{"url": url}] * 3)
    assert app.call("POST", f"/v1/batches/{cancelled['id']}/cancel").get_json()["counts"]["cancelled"] == 3
    assert batch_of(app, cancelled["id"])["status"] == "cancelled" and fetch_due(app) == []

    paused = submit(app, [{"url": url}] * 2)
    this = f"/v1/batches/{paused['id']}"
    assert app.call("POST", f"{this}/pause").get_json()["status"] == "paused"
    assert fetch_due(app) == [] and batch_of(app, paused["id"])["counts"]["queued"] == 2
    assert app.call("POST", f"{this}/resume").status_code == 200
    [first, _] = due_items(app)
    place = place_of(app)
    app.call("POST", f"{this}/pause")
    app.call("POST", f"{this}/resume")
    assert fetch(place, first) == "stored"
    app.call("POST", f"{this}/pause")
    app.work()
    assert batch_of(app, paused["id"])["counts"]["queued"] == 2, "a chunk of a paused batch is held"
    app.call("POST", f"{this}/resume")
    assert fetch_due(app) == ["stored"]
    app.work()
    assert batch_of(app, paused["id"])["outcome"] == "all_succeeded"

    late = submit(app, [{"url": url}], deadline=3600)
    with app.database.write() as connection:
        connection.execute(update(Batch).where(Batch.id == late["id"]).values(deadline_at=1.0))
    with app.database.write() as connection:
        assert closing.expire(connection, late["id"])
    app.service.complete(late["id"])
    assert batch_of(app, late["id"])["counts"]["expired"] == 1 and fetch_due(app) == []

    failed = submit(app, [{"url": server.url("/none.jpg")}])
    assert app.call("DELETE", f"/v1/batches/{failed['id']}").status_code == 409
    assert fetch_due(app) == ["failed"] and fetch_rows(app, failed["id"]) == 1
    assert app.call("DELETE", f"/v1/batches/{failed['id']}").status_code == 204
    assert fetch_rows(app, failed["id"]) == 0 and not app.service.blobs.batch_folder(failed["id"]).exists()


def test_a_draft_takes_urls_and_keeps_what_is_fetched_while_it_is_open(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    urls = [server.image(f"/{number}.jpg", data) for number, data in enumerate(small[:2])]
    draft = submit(app, [{"url": url} for url in urls], "?draft=true")
    assert draft["status"] == "draft"
    [first, _] = due_items(app)
    place = place_of(app)
    assert fetch(place, first) == "stored"
    more = app.post_form(f"/v1/batches/{draft['id']}/items?part_number=1", ("images", "x.jpg", small[2]))
    assert more.status_code == 200, more.text
    assert app.call("POST", f"/v1/batches/{draft['id']}/finalize").status_code == 200
    assert fetch_due(app) == ["stored"]
    app.work()
    ended = batch_of(app, draft["id"])
    assert (ended["outcome"], ended["counts"]["succeeded"]) == ("all_succeeded", 3)
    [used] = [row["used"] for row in [app.get("/v1/quotas")]]
    assert used["stored_bytes"] > 0


def test_as_many_urls_as_a_body_holds_are_accepted(app: Application, server: ImageServer) -> None:
    inputs: list[dict[str, Any]] = [
        {"url": server.url(f"/line-a3/station-2/{number:06d}.jpg?token=0123456789abcdef")}
        for number in range(10_000)
    ]
    batch = submit(app, inputs)
    assert batch["counts"]["queued"] == 10_000 and fetch_rows(app, batch["id"]) == 10_000
    assert app.call("POST", f"/v1/batches/{batch['id']}/cancel").get_json()["counts"]["cancelled"] == 10_000
    assert fetch_rows(app, batch["id"]) == 0 and server.gets == []


def test_a_batch_whose_images_no_process_fetches_says_so_until_one_does(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    batch = submit(app, [{"url": server.image("/late.jpg", small[0])}])
    site = open_site(app.service.settings)
    until(lambda: bool(site.broker.length(queues.FETCHES)), 20, "the message is in the queue")

    def sweep() -> Any:
        unfetched.mend(site, unfetched.find(site, 1000))
        return batch_of(app, batch["id"])["blocked"]

    assert sweep() is None, "its fetch is due just now"
    make_due(app)
    blocked = sweep()
    assert blocked["code"] == "no_fetcher"
    assert sweep() == blocked, "the first reason stands"
    token, [item] = (
        "a-process",
        [item for item in due_items(app) if item.startswith(f"itm_{batch['id'][4:]}")],
    )
    with app.database.write() as connection:
        held = fetches.claim(connection, item, database_time(connection), 60.0, token)
    assert held is not None
    assert sweep() is None, "a process holds a fetch"
    with app.database.write() as connection:
        assert fetches.put_off(connection, held, 0.0)
    assert sweep()["code"] == "no_fetcher"
    site.broker.client.flushall()
    assert sweep() is None, "a process has taken the message: the line is long"
    assert "stored" in fetch_due(app)
    app.work()
    assert batch_of(app, batch["id"])["status"] == "completed"
    site.database.dispose()
