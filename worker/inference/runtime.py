"""What one worker process keeps between tasks: connections, loaded models, its lease and its heartbeat."""

import logging
import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import redis
from celery import Celery
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from shared.blobs.store import BlobStore
from shared.broker import messages
from shared.clock import now
from shared.errors import ArtifactError
from shared.lifecycle import claims
from shared.registry import versions
from shared.registry.artifact import Artifact, read_artifact
from shared.settings import Settings
from shared.store.engine import Database, clock
from shared.store.tables import ModelVersion, Worker
from worker.inference.engine import Engine, load_engine

_MODELS_KEPT = 3
_PACE_ITEMS = 2048
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    artifact: Artifact
    engine: Engine


class Pace:
    """Items a second of decoding and inferring, over the last few thousand items; waiting for work does not count."""

    def __init__(self) -> None:
        self._items, self._seconds = 0.0, 0.0

    @property
    def items_per_s(self) -> float | None:
        """None before anything was done."""
        return self._items / self._seconds if self._seconds else None

    def add(self, items: int, seconds: float) -> None:
        """So many items took so long; of what came before, what lies far back fades."""
        self._items += items
        self._seconds += seconds
        if self._items > _PACE_ITEMS:
            self._items, self._seconds = self._items / 2, self._seconds / 2


class Runtime:
    """Made once in each process. A thread renews the leases of the chunks in hand and says that we live."""

    def __init__(self, settings: Settings, celery: Celery) -> None:
        self.settings = settings
        self.celery = celery
        self.database = Database(settings.database, durable=False, pool_size=3)
        self.blobs = BlobStore(settings.blobs)
        self.broker: redis.Redis = messages.connect(settings)
        self.host, self.pid = socket.gethostname(), os.getpid()
        self.lanes = settings.lanes.split(",")
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._loading = threading.Lock()
        self._held: Sequence[claims.Claim] = ()
        self._items = 0
        self.pace = Pace()
        self._progress_at: float | None = None
        self._started_at = now()

    @property
    def worker_id(self) -> str:
        return f"{self.host}:{self.pid}"

    def model(self, model_id: str) -> LoadedModel:
        """A model ready to predict; raises ArtifactError where its bytes are missing or not what the row says."""
        with self._loading:
            if model_id not in self._models:
                self._models[model_id] = self._load(model_id)
            self._models.move_to_end(model_id)
            while len(self._models) > _MODELS_KEPT:
                self._models.popitem(last=False)
            return self._models[model_id]

    def _load(self, model_id: str) -> LoadedModel:
        with self.database.read() as connection:
            sha256 = connection.scalar(select(ModelVersion.sha256).where(ModelVersion.id == model_id))
        artifact = read_artifact(self.blobs.artifact_path(str(sha256)))
        if artifact.sha256 != sha256:
            raise ArtifactError(f"the file of model {model_id} has another sha256 than when it was published")
        try:
            engine = load_engine(
                artifact,
                device=self.settings.device,  # type: ignore[arg-type] # checked by Settings
                threads=self.settings.engine_threads,
                reduced=self.settings.precision == "fp16",
            )
        except (RuntimeError, ImportError) as error:
            # Ours, not the chunk's: left to escape, it would cost attempts until every picture was poison.
            raise ArtifactError(f"no engine for model {model_id} here: {error}") from error
        log.info(
            "model %s (%s) on %s, %s, %d threads",
            artifact.name, sha256, engine.device, engine.name, engine.threads,
        )  # fmt: skip
        return LoadedModel(artifact, engine)

    @contextmanager
    def holding(self, held: Sequence[claims.Claim]) -> Iterator[None]:
        """Let the heartbeat renew these leases while the chunks are worked on."""
        self._held = held
        try:
            yield
        finally:
            self._held = ()
            self._items += sum(len(claim.items) for claim in held)
            self._progress_at = now()

    def start(self) -> None:
        """Begin the heartbeat and load the active model, so that the first chunk need not wait for it.

        Where the database is away, or the model can't be loaded, the heartbeat tries again: a process without
        one would lose every lease.
        """
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        try:
            self._load_active()
        except DBAPIError as error:
            log.warning("the active model is not loaded yet: %s", error.orig)

    def _load_active(self) -> None:
        with self.database.read() as connection:
            active = versions.active_id(connection)
        if active is not None:
            try:
                self.model(active)
            except ArtifactError as error:
                log.error("the active model can't be loaded: %s", error.detail)
        if self._models:
            self._register()

    def _register(self) -> None:
        loaded = next(reversed(self._models.values()))
        with self.database.write() as connection:
            connection.execute(delete(Worker).where(Worker.id == self.worker_id))
            connection.execute(
                insert(Worker).values(
                    id=self.worker_id,
                    host=self.host,
                    pid=self.pid,
                    lanes=self.lanes,
                    device=loaded.engine.device,
                    engine=loaded.engine.name,
                    threads=loaded.engine.threads,
                    models=list(self._models),
                    started_at=self._started_at,
                    last_seen_at=clock(),
                    items=0,
                    items_per_s=self.pace.items_per_s,
                )
            )

    def _beat(self) -> None:
        pause = threading.Event()
        while not pause.wait(self.settings.heartbeat_s):
            try:
                self.beat()
                if not self._models and not self._held:
                    self._load_active()
            except Exception as error:  # whatever it is, the next beat must come
                log.warning("no heartbeat: %s: %s", type(error).__name__, error)

    def beat(self) -> None:
        """Renew the leases in hand and say that this process lives."""
        held = self._held
        with self.database.write() as connection:
            for claim in sorted(held, key=lambda claim: claim.chunk_id):
                claims.renew(connection, claim.chunk_id, claim.token, self.settings.lease_s)
            seen = connection.execute(
                update(Worker)
                .where(Worker.id == self.worker_id)
                .values(
                    last_seen_at=clock(),
                    items=self._items,
                    items_per_s=self.pace.items_per_s,
                    last_progress_at=self._progress_at,
                    models=list(self._models),
                )
            )
        if seen.rowcount == 0 and self._models:
            self._register()

    def leave(self) -> None:
        """Take this process off the list of live workers."""
        with self.database.write() as connection:
            connection.execute(delete(Worker).where(Worker.id == self.worker_id))
