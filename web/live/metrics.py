"""The service's figures in the Prometheus text format, read from the database at each scrape.

The database has them for all processes together, so no process keeps counters of its own.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from shared.contract.states import ChunkStatus, DeliveryStatus, Lane
from shared.lifecycle import blocked, counters, workers
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Delivery, Event
from web.service import Service

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


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
            waiting: dict[tuple[str, ...], float] = {
                (code,): float(number) for code, number in blocked.by_code(connection).items()
            }
            yield _gauge("blocked_batches", "Open batches that no worker can serve.", waiting, "code")
            yield from _events(connection)


def _backlog(connection: Connection) -> Iterator[Metric]:
    open_items = (
        select(Batch.lane, func.sum(Batch.queued + Batch.processing))
        .where(Batch.finished_at.is_(None))
        .group_by(Batch.lane)
    )
    items = _by_lane({lane: int(number) for lane, number in connection.execute(open_items)})
    yield _gauge("open_items", "Items without a verdict or an error.", {(): sum(items.values())})
    yield _gauge("backlog_items", "Items without a verdict or an error, by lane.", items, "lane")
    oldest = (
        select(Chunk.lane, clock() - func.min(Chunk.enqueued_at))
        .where(Chunk.status == ChunkStatus.QUEUED)
        .group_by(Chunk.lane)
    )
    ages = _by_lane({lane: max(0.0, age) for lane, age in connection.execute(oldest)})
    yield _gauge("backlog_oldest_age_seconds", "Wait of the oldest queued chunk, by lane.", ages, "lane")


def _workers(connection: Connection, lease_s: float) -> Iterator[Metric]:
    alive = workers.alive(connection, lease_s)
    yield _gauge("workers", "Live inference processes.", {(): len(alive)})
    serving = _by_lane({lane: sum(lane in worker.lanes for worker in alive) for lane in Lane})
    yield _gauge("lane_workers", "Live inference processes that serve a lane.", serving, "lane")


def _deliveries(connection: Connection) -> Iterator[Metric]:
    query = select(Delivery.status, func.count()).group_by(Delivery.status)
    counted: dict[tuple[str, ...], float] = {(status.value,): 0 for status in DeliveryStatus}
    counted |= {(status,): number for status, number in connection.execute(query)}
    yield _gauge("deliveries", "Webhook deliveries of the batches that are kept.", counted, "state")


def _events(connection: Connection) -> Iterator[Metric]:
    metric = CounterMetricFamily(
        "gonogo_events", "Events that should be rare, since the installation began.", labels=["event"]
    )
    found = dict.fromkeys(counters.NAMES, 0)
    found |= {row.name: row.count for row in connection.execute(select(Event.name, Event.count))}
    for name, number in sorted(found.items()):
        metric.add_metric([name], number)
    yield metric


def _by_lane(found: dict[str, float]) -> dict[tuple[str, ...], float]:
    return {(lane.value,): found.get(lane.value, 0) for lane in Lane}


def _gauge(name: str, about: str, values: dict[tuple[str, ...], float], *labels: str) -> GaugeMetricFamily:
    metric = GaugeMetricFamily(f"gonogo_{name}", about, labels=labels)
    for label_values, value in values.items():
        metric.add_metric(label_values, value)
    return metric
