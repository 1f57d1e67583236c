"""The figures of /metrics, as Prometheus reads them."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete, select, update

from shared.contract.states import Lane
from shared.lifecycle import counters, open_work, workers
from shared.lifecycle.workers import Identity, Progress
from shared.store.tables import Chunk, Delivery, Worker
from tests.harness.application import Application

WEBHOOK = {"webhook": {"url": "https://receiver.example"}}


def scrape(app: Application) -> dict[str, float]:
    """Every sample, as `name{label}`; the text must be of the type that it says it is."""
    assert app.call("GET", "/metrics", key="").status_code == 401
    response = app.call("GET", "/metrics")
    assert response.status_code == 200
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation or family.name.startswith("process_")
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_an_idle_installation_has_every_series_at_zero(app: Application) -> None:
    found = scrape(app)
    for lane in Lane:
        assert found[f"gonogo_backlog_items{{{lane}}}"] == 0
        assert found[f"gonogo_backlog_oldest_age_seconds{{{lane}}}"] == 0
        assert found[f"gonogo_lane_workers{{{lane}}}"] == 0
    assert {f"gonogo_events_total{{{name}}}" for name in counters.NAMES} <= set(found)
    assert found["gonogo_disk_free_bytes"] > 0
    assert found["process_resident_memory_bytes"] > 1_000_000


def test_a_backlog_shows_by_lane_with_the_wait_of_its_oldest_chunk(
    app: Application, images: dict[str, bytes]
) -> None:
    app.submit(dict(list(images.items())[:5]), {"priority": "low"})
    with app.database.write() as connection:
        connection.execute(update(Chunk).values(enqueued_at=Chunk.enqueued_at - 100.0))
    found = scrape(app)
    assert found["gonogo_open_items"] == found["gonogo_backlog_items{low}"] == 5
    assert found["gonogo_backlog_items{normal}"] == 0
    assert 100 <= found["gonogo_backlog_oldest_age_seconds{low}"] < 200
    app.work("low")
    found = scrape(app)
    assert found["gonogo_open_items"] == found["gonogo_backlog_oldest_age_seconds{low}"] == 0


def test_deliveries_show_by_state(app: Application, images: dict[str, bytes]) -> None:
    before = scrape(app)
    app.finished(dict(list(images.items())[:1]), WEBHOOK)
    assert scrape(app)["gonogo_deliveries{pending}"] == before["gonogo_deliveries{pending}"] + 1
    with app.database.write() as connection:
        connection.execute(update(Delivery).values(status="exhausted"))
    found = scrape(app)
    assert found["gonogo_deliveries{pending}"] == 0
    assert found["gonogo_deliveries{exhausted}"] >= 1


def test_only_live_workers_count(app: Application) -> None:
    progress = Progress((), 0, None, None)
    with app.database.write() as connection:
        for number, lanes in enumerate([("normal", "low"), ("normal",)]):
            who = Identity(f"wrk_{number}", "h//", 1, lanes, 1.0)
            workers.register(connection, who, progress, device="cpu", engine="e", threads=1)
    found = scrape(app)
    assert (found["gonogo_workers"], found["gonogo_lane_workers{normal}"]) == (2, 2)
    with app.database.write() as connection:
        late = Worker.last_seen_at - app.service.settings.lease_s - 1
        connection.execute(update(Worker).where(Worker.id == "wrk_0").values(last_seen_at=late))
    found = scrape(app)
    assert (found["gonogo_workers"], found["gonogo_lane_workers{normal}"]) == (1, 1)
    assert found["gonogo_lane_workers{low}"] == 0
    with app.database.write() as connection:
        connection.execute(delete(Worker))


def test_events_are_counters(app: Application) -> None:
    before = scrape(app)["gonogo_events_total{fenced}"]
    with app.database.write() as connection:
        counters.count(connection, "fenced", 3)
    assert scrape(app)["gonogo_events_total{fenced}"] == before + 3


@pytest.mark.parametrize("path", ["/readyz", "/v1/workers", "/metrics", "chunk size"])
def test_every_judgement_of_a_worker_changes_at_the_same_moment(
    app: Application, tmp_path: Path, path: str
) -> None:
    """A worker heard of within a lease by the database's clock lives, for all of them; none uses another clock."""

    settings = app.service.settings
    who = Identity("wrk_edge", "h//", 1, ("interactive", "normal"), 1.0)
    with app.database.write() as connection:
        workers.register(connection, who, Progress((), 9, 50.0, None), device="cpu", engine="e", threads=1)

    def alive() -> bool:
        if path == "/readyz":
            return bool(app.call("GET", path).get_json()["checks"]["worker"] == "ok")
        if path == "/v1/workers":
            return bool(app.get(path)["data"])
        if path == "/metrics":
            return scrape(app)["gonogo_workers"] == 1
        with app.database.read() as connection:
            return open_work.mean_speed(connection, "normal", settings.lease_s) is not None

    def last_seen(ago: float) -> None:
        with app.database.write() as connection:
            workers.beat(connection, who.id, Progress((), 9, 50.0, None))
            connection.execute(update(Worker).values(last_seen_at=Worker.last_seen_at - ago))

    last_seen(settings.lease_s - 5)
    assert alive()
    last_seen(settings.lease_s + 1)
    assert not alive()
    with app.database.write() as connection:
        connection.execute(delete(Worker))
        assert not connection.execute(select(Worker.id)).all()
