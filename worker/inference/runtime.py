"""The state of a worker process between tasks: connections, loaded models, its pace and its heartbeat."""

import logging
import os

from celery import Celery
from sqlalchemy.exc import DBAPIError

from shared.blobs.store import BlobStore
from shared.broker.connection import open_broker
from shared.clock import now
from shared.errors import ArtifactError
from shared.ids import new_id
from shared.lifecycle.workers import Identity
from shared.registry import activations
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.tallies import Tallies
from worker import process
from worker.inference.heartbeat import Heartbeat
from worker.inference.loaded import LoadedModels
from worker.inference.memory import bound_growth
from worker.inference.pace import Pace
from worker.inference.watchdog import Watchdog
from worker.telling import teller

log = logging.getLogger(__name__)


class Runtime:
    """Made once in each process."""

    def __init__(self, settings: Settings, celery: Celery) -> None:
        self.settings = settings
        self.celery = celery
        self.database = Database(
            settings.database, durable=False, pool_size=3, settle_s=settings.clock_settle_s
        )
        self.blobs = BlobStore(settings.blobs)
        self.broker = open_broker(settings)
        self.tell = teller(celery, self.broker, settings)
        lanes = tuple(settings.lanes.split(","))
        self.who = Identity(new_id("wrk"), process.place(), os.getpid(), lanes, now())
        self.models = LoadedModels(settings, self.database, self.blobs, self.who.id)
        # Apart from the others: a candidate of a shadow may not take the place of a model that judges.
        self.candidates = LoadedModels(settings, self.database, self.blobs, self.who.id, kept=1)
        self.pace, self.tallies = Pace(), Tallies()
        self.heartbeat = Heartbeat(settings, self.database, self.who, self.models, self.pace, self.tallies)
        self.watchdog = Watchdog(self.database, lambda: self.heartbeat.held, settings.item_timeout_s)

    def start(self) -> None:
        """Begin the heartbeat and load the active model, so that the first chunk need not wait for it.

        If the database is away, or the model can't be loaded, the heartbeat tries again: a process without a
        heartbeat would lose every lease.
        """
        self.heartbeat.start(self._load_active)
        try:
            self._load_active()
        except DBAPIError as error:
            log.warning("the active model is not loaded yet: %s", error.orig)
        self.watchdog.start()
        if not self.models.ids or self.models.newest.engine.device == "cpu":
            bound_growth(self.settings.child_memory_bytes)  # a GPU's driver maps far more than it uses

    def _load_active(self) -> None:
        with self.database.read() as connection:
            active = activations.any_active_id(connection)
        if active is not None:
            try:
                self.models.get(active)
            except ArtifactError as error:
                log.error("the active model can't be loaded: %s", error.detail)
        if self.models.ids:
            self.heartbeat.register()
