"""The service's figures in the Prometheus text format, read from the database at each scrape.

The database has them for all processes together. Each query reads an index or a small table, so a scrape costs the
same however many items are kept; it grows with the number of open batches alone.
"""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select, text

from shared.contract.states import Lane
from shared.lifecycle import blocked, counters, workers
from shared.store import tallies
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Delivery, Event, ModelVersion
from shared.store.tallies import BOUNDS_S, STAGES, Key, Sum
from shared.webhooks import endpoints
from web.service import Service

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# Literals, not parameters: a prepared statement of PostgreSQL cannot use a partial index by a parameter.
_QUEUED = text("chunks.status = 'queued'")
_STATES = {
    "pending": text("webhook_deliveries.status = 'pending'"),
    "exhausted": text("webhook_deliveries.status = 'exhausted'"),
}
_TRIES = ("delivered", "retry", "exhausted")
_Labelled = dict[tuple[str, ...], float]


def render(service: Service, version: str) -> bytes:
    """All figures of the installation, and memory and open files of this web process."""
    registry = CollectorRegistry()
    registry.register(_Figures(service, version))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, service: Service, version: str) -> None:
        self._service, self._version = service, version

    def collect(self) -> Iterator[Metric]:
        here = self._service
        yield _gauge("info", "The version that runs.", {(self._version,): 1}, "version")
        yield _gauge("disk_free_bytes", "Free bytes where blobs are kept.", {(): here.blobs.free_bytes()})
        least = here.settings.min_free_bytes
        yield _gauge("disk_min_free_bytes", "Free bytes below which submissions get 503.", {(): least})
        with here.database.read() as connection:
            yield from _backlog(connection)
            yield from _workers(connection, here.settings.lease_s)
            yield from _deliveries(connection)
            waiting: _Labelled = {
                (code,): float(number) for code, number in blocked.by_code(connection).items()
            }
            yield _gauge("blocked_batches", "Open batches that no worker can serve.", waiting, "code")
            yield from _events(connection)
            yield from _tallies(connection)


def _backlog(connection: Connection) -> Iterator[Metric]:
    open_items = (
        select(Batch.lane, func.sum(Batch.queued + Batch.processing))
        .where(Batch.finished_at.is_(None))
        .group_by(Batch.lane)
    )
    items = _by_lane({lane: int(number) for lane, number in connection.execute(open_items)})
    yield _gauge("open_items", "Items without a verdict or an error.", {(): sum(items.values())})
    yield _gauge("backlog_items", "Items without a verdict or an error, by lane.", items, "lane")
    # A query for each lane: the first entry of the index is its oldest chunk.
    oldest = {
        lane.value: select(func.min(Chunk.enqueued_at)).where(_QUEUED, Chunk.lane == lane) for lane in Lane
    }
    since = {lane: connection.scalar(query) for lane, query in oldest.items()}
    now = connection.scalar(select(clock())) or 0.0
    ages = _by_lane({lane: max(0.0, now - at) for lane, at in since.items() if at is not None})
    yield _gauge("backlog_oldest_age_seconds", "Wait of the oldest queued chunk, by lane.", ages, "lane")


def _workers(connection: Connection, lease_s: float) -> Iterator[Metric]:
    alive = workers.alive(connection, lease_s)
    yield _gauge("workers", "Live inference processes.", {(): len(alive)})
    serving = _by_lane({lane: sum(lane in worker.lanes for worker in alive) for lane in Lane})
    yield _gauge("lane_workers", "Live inference processes that serve a lane.", serving, "lane")


def _deliveries(connection: Connection) -> Iterator[Metric]:
    counted: _Labelled = {
        (state,): connection.scalar(select(func.count()).select_from(Delivery).where(is_so)) or 0
        for state, is_so in _STATES.items()
    }
    about = "Webhook deliveries that are owed, and those that were given up and whose batch is kept."
    yield _gauge("deliveries", about, counted, "state")
    known: _Labelled = {(state,): number for state, number in endpoints.states(connection).items()}
    yield _gauge("webhook_endpoints", "Endpoints by state; disabled: by the service.", known, "state")


def _events(connection: Connection) -> Iterator[Metric]:
    found = dict.fromkeys(counters.NAMES, 0)
    found |= {row.name: row.count for row in connection.execute(select(Event.name, Event.count))}
    about = "Events that should be rare, since the installation began."
    yield _counter("events", about, {(name,): number for name, number in sorted(found.items())}, "event")


def _tallies(connection: Connection) -> Iterator[Metric]:
    known = tallies.read(connection)
    yield _stages(known)
    tries: _Labelled = {(outcome,): 0.0 for outcome in _TRIES} | _labelled(known, tallies.TRIES)
    yield _counter("delivery_tries", "HTTP tries of webhook deliveries, by outcome.", tries, "outcome")
    failures = _labelled(known, tallies.FAILURES)
    yield _counter("failed_items", "Items that failed, by the code of the error.", failures, "code")
    verdicts = _labelled(known, tallies.VERDICTS)
    cached = _labelled(known, tallies.CACHED)
    judges = {model for model, *_ in (*verdicts, *cached)}
    names = select(ModelVersion.id, ModelVersion.name).where(ModelVersion.id.in_(judges))
    named = {row.id: row.name for row in connection.execute(names)} if judges else {}
    by_model: _Labelled = {
        (model, named.get(model, ""), verdict): number for (model, verdict), number in verdicts.items()
    }
    yield _counter("verdicts", "Verdicts, by model version.", by_model, "model", "model_name", "verdict")
    about = "The verdicts that took the score of the same bytes, without inference."
    hits: _Labelled = {(model, named.get(model, "")): number for (model,), number in cached.items()}
    yield _counter("cached_verdicts", about, hits, "model", "model_name")


def _stages(known: dict[Key, Sum]) -> Metric:
    metric = HistogramMetricFamily(
        "gonogo_stage_seconds", "Latency of the stages of an image and of a webhook.", labels=["stage"]
    )
    ends = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
    for name in STAGES:
        buckets = [known.get(Key(tallies.STAGE, name, number), Sum(0)) for number in range(len(ends))]
        counted = accumulate(bucket.times for bucket in buckets)
        in_all = sum(bucket.seconds for bucket in buckets)
        metric.add_metric([name], list(zip(ends, map(float, counted), strict=True)), in_all)
    return metric


def _labelled(known: dict[Key, Sum], name: str) -> _Labelled:
    return {tuple(key.label.split(",")): float(made.times) for key, made in known.items() if key.name == name}


def _by_lane(found: dict[str, float]) -> _Labelled:
    return {(lane.value,): found.get(lane.value, 0) for lane in Lane}


def _gauge(name: str, about: str, values: _Labelled, *labels: str) -> GaugeMetricFamily:
    metric = GaugeMetricFamily(f"gonogo_{name}", about, labels=labels)
    for label_values, value in values.items():
        metric.add_metric(label_values, value)
    return metric


def _counter(name: str, about: str, values: _Labelled, *labels: str) -> CounterMetricFamily:
    metric = CounterMetricFamily(f"gonogo_{name}", about, labels=labels)
    for label_values, value in values.items():
        metric.add_metric(label_values, value)
    return metric
