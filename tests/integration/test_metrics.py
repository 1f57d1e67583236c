"""The figures of /metrics, as Prometheus reads them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, delete, event, select, update

from shared.contract.states import Lane
from shared.lifecycle import counters, open_work, workers
from shared.lifecycle.workers import Identity, Progress
from shared.store import tallies
from shared.store.tables import Base, Chunk, Delivery, Worker
from tests.harness.application import Application
from tests.harness.processes import ROOT

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


def families(app: Application) -> dict[str, Metric]:
    return {
        family.name: family for family in text_string_to_metric_families(app.call("GET", "/metrics").text)
    }


def test_verdicts_and_failures_of_a_worker_are_counted_once(
    app: Application, images: dict[str, bytes]
) -> None:
    app.runtime.tallies.write(app.database)
    before = scrape(app)
    files = {**dict(list(images.items())[:4]), "broken.jpg": b"\xff\xd8\xff" + bytes(50)}
    batch = app.finished(files)
    assert batch["counts"]["failed"] == 1
    for _ in range(2):  # the second write has nothing to add
        app.runtime.tallies.write(app.database)
    after = scrape(app)

    def grew(prefix: str) -> dict[str, float]:
        more = {name: after[name] - before.get(name, 0) for name in after if name.startswith(prefix)}
        return {name: number for name, number in more.items() if number}

    model = batch["model"]
    assert grew("gonogo_verdicts_total") == {
        f"gonogo_verdicts_total{{{model['id']},{model['name']},{verdict}}}": number
        for verdict, number in batch["verdicts"].items()
        if number
    }
    assert grew("gonogo_failed_items_total") == {"gonogo_failed_items_total{corrupt_image}": 1}
    seen = grew("gonogo_stage_seconds_count")
    assert {
        stage: seen[f"gonogo_stage_seconds_count{{{stage}}}"] for stage in ("queue", "decode", "infer")
    } == {
        "queue": 5,
        "decode": 4,
        "infer": 4,
    }
    assert seen["gonogo_stage_seconds_count{record}"] >= 1


def test_a_submission_and_a_prediction_have_a_latency(app: Application, images: dict[str, bytes]) -> None:
    app.service.tallies.write(app.database)
    before = scrape(app)
    app.submit(dict(list(images.items())[:2]))
    app.service.tallies.write(app.database)
    found = scrape(app)
    key = "gonogo_stage_seconds_count{upload}"
    assert found[key] == before[key] + 1
    assert found["gonogo_stage_seconds_sum{upload}"] > before["gonogo_stage_seconds_sum{upload}"]
    app.work()


def test_names_and_types_follow_the_conventions_of_prometheus(app: Application) -> None:
    for name, family in families(app).items():
        assert re.fullmatch(r"(gonogo|process)_[a-z]+(_[a-z]+)*", name), name
        assert not name.endswith(("_ms", "_milliseconds", "_count", "_total")), name
        assert family.type in ("gauge", "counter", "histogram"), name
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total"), sample.name
            assert all(re.fullmatch("[a-z][a-z_]*", label) for label in sample.labels), sample.labels


def test_the_page_about_metrics_names_each_series_with_its_type_and_labels(
    app: Application, images: dict[str, bytes]
) -> None:
    app.finished({**dict(list(images.items())[:2]), "broken.jpg": b"\xff\xd8\xff" + bytes(50)})
    app.runtime.tallies.write(app.database)
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(gonogo_\w+)` \| (\w+) \|(.*?)\|", page, re.MULTILINE)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    served = {name: made for name, made in families(app).items() if name.startswith("gonogo_")}
    assert set(told) == set(served)
    for name, made in served.items():
        labels = {label for sample in made.samples for label in sample.labels} - {"le"}
        kind, named = told[name]
        assert kind == made.type, name
        assert not made.samples or named == labels, name
    assert set(re.findall(r"`(\w+)`", page[page.index("| `stage` |") :])) >= set(tallies.STAGES)


def test_a_histogram_has_rising_buckets_that_end_in_its_count(
    app: Application, images: dict[str, bytes]
) -> None:
    app.finished(dict(list(images.items())[:2]))
    app.runtime.tallies.write(app.database)
    found = families(app)["gonogo_stage_seconds"]
    for stage in tallies.STAGES:
        mine = [sample for sample in found.samples if sample.labels["stage"] == stage]
        buckets = [sample for sample in mine if sample.name.endswith("_bucket")]
        ends = [float(sample.labels["le"]) for sample in buckets]
        assert ends == [*tallies.BOUNDS_S, float("inf")]
        counts = [sample.value for sample in buckets]
        assert counts == sorted(counts)
        (count,) = [sample.value for sample in mine if sample.name.endswith("_count")]
        (seconds,) = [sample.value for sample in mine if sample.name.endswith("_sum")]
        assert counts[-1] == count
        assert (seconds > 0) == (count > 0)


@contextmanager
def statements(app: Application) -> Iterator[list[tuple[str, Any]]]:
    """Every statement that the web's database runs meanwhile, with its parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_conn: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(app.database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(app.database.engine, "before_cursor_execute", note)


# An index of what is open is as long as the open work, not as its table.
OPEN = "status = '(queued|leased|pending|exhausted)'|finished_at IS NULL"
SHORT = {
    str(index.name)
    for table in Base.metadata.tables.values()
    for index in table.indexes
    if re.fullmatch(OPEN, str(index.dialect_options["sqlite"]["where"]))
}


def steps_of(app: Application, statement: str, values: Any) -> list[str]:
    """The steps of the database's plan that read a table."""
    with app.database.read() as connection:
        if app.database.is_sqlite:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            return [str(row[-1]) for row in rows if re.match("SCAN|SEARCH", str(row[-1]))]
        # With so few rows PostgreSQL would read the table; so it shows whether an index can serve the statement.
        connection.exec_driver_sql("SET enable_seqscan = off")
        rows = connection.exec_driver_sql(f"EXPLAIN {statement}", values).all()
        connection.exec_driver_sql("RESET enable_seqscan")
        # A bitmap scan names its index in the step below.
        return [row[0] for row in rows if " Scan" in row[0] and "Bitmap Heap Scan" not in row[0]]


def test_a_scrape_reads_short_indexes_and_no_table_that_grows(app: Application) -> None:
    with statements(app) as seen:
        scrape(app)
    grows = r"\b(batches|chunks|items|webhook_deliveries|webhook_attempts)\b"
    asked = [(text, values) for text, values in seen if re.search(f"FROM {grows}", text)]
    assert len(asked) >= 6
    for text, values in asked:
        steps = steps_of(app, text, values)
        assert steps
        for step in steps:
            assert any(index in step for index in SHORT), f"{step}: {text}"


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
