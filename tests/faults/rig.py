"""A running installation that a row breaks: what it accepted, its workers, and the proof that a fault fired."""

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import func, select

from shared.blobs.store import BlobStore
from shared.broker.queues import prefix
from shared.contract.events import BATCH_EVENTS, PART_COMPLETED
from shared.contract.options import WebhookOptions
from shared.lifecycle import counters
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.records import BatchRecord, ChunkRecord, ItemRecord
from shared.store.tables import Batch, Chunk, Item, Worker
from tests.faults import checker
from tests.harness.databases import migrated_database_url
from tests.harness.hooks import child_environment
from tests.harness.processes import free_port, until
from tests.harness.stack import FAST, Stack

# A receiver that refuses at once: what counts here is that exactly one event is owed.
WEBHOOK: WebhookOptions = {"url": "http://127.0.0.1:9/", "secret": "whsec_" + "A" * 32}
CHUNK_ITEMS = 16
# Full chunks are claimed alone, as with the sizes that ship.
_SMALL: dict[str, Any] = {"chunk_items": CHUNK_ITEMS, "micro_batch": CHUNK_ITEMS, "orphan_s": 4.0}
_numbers = itertools.count()


@dataclass
class Rig:
    """An installation. A row that ends without `check` having found all well leaves it marked as spoilt."""

    stack: Stack
    kind: str
    accepted: dict[str, int] = field(default_factory=dict)
    spoilt: bool = False
    points: Path = Path()
    saw: dict[str, Any] = field(default_factory=dict)
    extra_before: int = 0

    def __post_init__(self) -> None:
        self.database = Database(self.stack.settings.database)
        self.blobs = BlobStore(self.stack.settings.blobs)
        self.fresh_points()

    # -- faults -----------------------------------------------------------------------------------------------

    def fresh_points(self) -> None:
        """Count failpoints from zero."""
        self.points = self.stack.folder / f"points-{next(_numbers)}"
        self.points.mkdir()

    def fault_env(self, points: str = "", **extra: str) -> dict[str, str]:
        """The environment that puts hooks and failpoints into a child process."""
        return child_environment(GONOGO_FAILPOINTS=points, GONOGO_FAILPOINTS_DIR=str(self.points), **extra)

    def fired(self, point: str) -> int:
        """How often a failpoint fired, over all processes."""
        return len(list(self.points.glob(f"{point.replace(':', '-')}.*")))

    def proof(self, what: str) -> None:
        """Note how the fault is known to have happened."""
        self.saw["fired"] = what

    def recovered(self, seconds: float, reach_s: float) -> None:
        """Note the seconds until work went on, and the goal."""
        self.saw["recovery_s"], self.saw["reach_s"] = round(seconds, 1), reach_s

    # -- processes --------------------------------------------------------------------------------------------

    def restart(
        self,
        name: str,
        points: str = "",
        *,
        how: signal.Signals = signal.SIGKILL,
        wait: bool = True,
        env: dict[str, str] | None = None,
        **more: str,
    ) -> None:
        """End a process if it runs, start it with these failpoints and this environment, and wait for it."""
        asked = {**(env or {}), **more}
        if name in self.stack.processes:
            self.stack.kill_group(name, how)
        role = name.partition("-")[0]
        since = time.time()
        self.stack.start(name, **self.fault_env(points, **asked))
        if not wait:
            return
        if role in ("bulk", "interactive"):
            workers = int(asked.get("GONOGO_WORKERS", self.stack.settings.workers))
            self.wait_workers(since, workers if role == "bulk" else 1)
        elif role == "web":
            until(self.web_answers, 60, "the web answers")

    def end(self) -> None:
        """Kill everything: how a service drains is row 27's business."""
        for name in list(self.stack.processes):
            self.stack.kill_group(name)
        self.database.dispose()

    def web_answers(self) -> bool:
        try:
            return bool(self.stack.get("/livez")[0] == 200)
        except OSError:
            return False

    def wait_workers(self, since: float, count: int) -> list[int]:
        """Wait until this many inference processes, started after `since`, live; their process ids."""

        def live() -> list[int]:
            with self.database.read() as connection:
                pids = connection.scalars(select(Worker.pid).where(Worker.started_at > since)).all()
            return list(pids) if len(pids) >= count else []

        found: list[int] = until(live, 60, f"{count} workers are up; logs in {self.stack.folder}")
        return found

    def broker(self) -> "redis.Redis":
        return redis.Redis.from_url(self.stack.settings.broker, socket_timeout=10)

    def key(self, queue: str) -> str:
        """A queue as this installation names it in the broker."""
        return prefix(self.stack.settings) + queue

    # -- work -------------------------------------------------------------------------------------------------

    def submit(self, files: dict[str, bytes], *, views: int = 0, **options: Any) -> str:
        """Submit a batch that owes a webhook, and remember that it was accepted.

        With `views`, each part has so many views, which lie in different chunks, and owes an event.
        """
        manifest, webhook = None, dict(WEBHOOK)
        if views:
            parts = max(1, len(files) // views)
            lines = [f"{name},SN-{number % parts},{number // parts}" for number, name in enumerate(files)]
            manifest = "\n".join(["filename,part_id,view", *lines]).encode()
            webhook["events"] = [*BATCH_EVENTS, PART_COMPLETED]
        batch = self.stack.submit(files, {"webhook": webhook, **options}, manifest)
        self.accepted[batch["id"]] = batch["counts"]["total"]
        return str(batch["id"])

    def finish(self, batch_id: str, timeout_s: float = 90.0) -> BatchRecord:
        """Wait for the end of a batch, by its row."""

        def ended() -> BatchRecord | None:
            row = self.batch(batch_id)
            return row if row.finished_at is not None else None

        found: BatchRecord = until(ended, timeout_s, f"{batch_id} ends; logs in {self.stack.folder}")
        return found

    def batch(self, batch_id: str) -> BatchRecord:
        with self.database.read() as connection:
            row = connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
            return BatchRecord._make(row)

    def sealed(self) -> set[str]:
        """Every batch that clients can see."""
        with self.database.read() as connection:
            return set(connection.scalars(select(Batch.id).where(Batch.sealed.is_(True))))

    def unsealed(self) -> list[str]:
        """Uploads that are not finished."""
        with self.database.read() as connection:
            return list(connection.scalars(select(Batch.id).where(Batch.sealed.is_(False))))

    def held(self, batch_id: str | None = None, status: str = "leased") -> list[ChunkRecord]:
        """Chunks, of all batches or of one, that a worker holds now."""
        query = select(Chunk.__table__).where(Chunk.status == status)
        if batch_id is not None:
            query = query.where(Chunk.batch_id == batch_id)
        with self.database.read() as connection:
            return list(map(ChunkRecord._make, connection.execute(query.order_by(Chunk.id))))

    def wait_held(self, batch_id: str, timeout_s: float = 60.0) -> ChunkRecord:
        """Wait until a worker holds a chunk of the batch."""
        found: list[ChunkRecord] = until(
            lambda: self.held(batch_id), timeout_s, f"a chunk of {batch_id} is held"
        )
        return found[0]

    def chunk(self, chunk_id: int) -> ChunkRecord:
        with self.database.read() as connection:
            row = connection.execute(select(Chunk.__table__).where(Chunk.id == chunk_id)).one()
            return ChunkRecord._make(row)

    def items(self, batch_id: str) -> list[ItemRecord]:
        query = select(Item.__table__).where(Item.batch_id == batch_id).order_by(Item.seq)
        with self.database.read() as connection:
            return list(map(ItemRecord._make, connection.execute(query)))

    def done(self) -> int:
        """Items with a verdict or an error, over all batches: the sign that work goes on."""
        with self.database.read() as connection:
            return int(connection.scalar(select(func.sum(Batch.succeeded + Batch.failed))) or 0)

    def event(self, name: str) -> int:
        with self.database.read() as connection:
            return counters.read(connection, name)

    def time_until(self, check: Callable[[], Any], timeout_s: float, what: str) -> float:
        """Seconds until `check` is true."""
        started = time.monotonic()
        until(check, timeout_s, what)
        return time.monotonic() - started

    def check(self, *, most_extra: int | None = None) -> checker.Seen:
        """Hold everything against the checker; wait a little, since a sweep may have to complete or tidy."""
        deadline = time.monotonic() + 20
        while True:
            seen = checker.check(self.database, self.blobs, self.accepted)
            if not seen.troubles or time.monotonic() > deadline:
                break
            time.sleep(0.3)
        extra = seen.extra - self.extra_before
        self.saw |= {"items": seen.items, "lost": seen.lost, "doubled": seen.doubled, "extra": extra}
        self.extra_before = seen.extra
        assert not seen.troubles, seen.troubles[:10]
        if most_extra is not None:
            assert extra <= most_extra, f"{extra} extra inferences, at most {most_extra} are due"
        assert self.saw.get("fired"), "this row did not prove that its fault happened"
        self.spoilt = False
        return seen


@contextmanager
def rig(
    folder: Path,
    artifacts: list[Path],
    kind: str = "sqlite",
    *,
    processes: tuple[str, ...] = ("web", "sweep", "bulk"),
    database_url: str | None = None,
    broker_port: int = 0,
    proxy_port: int = 0,
    **changed: Any,
) -> Iterator[Rig]:
    """An installation in `folder`; workers with `CHUNK_ITEMS` images a chunk, so that there are many."""
    with ExitStack() as closing:
        url = database_url or closing.enter_context(migrated_database_url(kind, folder))
        seen_port = proxy_port or broker_port
        broker = f"redis://127.0.0.1:{seen_port}/0" if seen_port else f"unix://{folder}/valkey.sock"
        settings = replace(
            Settings(),
            data_dir=folder,
            database_url=url,
            broker_url=broker,
            port=free_port(),
            webhook_allowed_networks="127.0.0.0/8",
            min_free_bytes=0,
            **{**FAST, **_SMALL, **changed},
        )
        stack = Stack(folder, settings)
        stack.prepare(artifacts)
        made = Rig(stack, kind)
        closing.callback(made.end)
        checker.watch(made.database)
        stack.start_valkey(broker_port)
        for name in processes:
            made.restart(name)
        yield made
