"""The parts that the views of one web process share: settings, database, blobs, announcer, waiting room, bounds."""

from dataclasses import dataclass
from typing import cast

from celery import Celery
from flask import current_app
from sqlalchemy import select

from shared.blobs.store import BlobStore
from shared.broker import queues
from shared.contract.batches import BatchPayload, ModelRef, batch_payload
from shared.lifecycle import endings
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.records import BatchRecord
from shared.store.tables import ModelVersion
from shared.store.tallies import Tallies
from web.http.known_keys import KnownKeys
from web.http.rate_limits import RateLimits
from web.http.refused import RefusedKeys
from web.live.announcer import Announcer
from web.live.feeds import Feeds
from web.live.waiting import WaitingRoom
from web.upload.capacity import Capacity
from web.upload.memory import Memory


@dataclass(frozen=True)
class Service:
    settings: Settings
    database: Database
    blobs: BlobStore
    celery: Celery
    announcer: Announcer
    waiting: WaitingRoom
    feeds: Feeds
    capacity: Capacity
    known_keys: KnownKeys
    refused_keys: RefusedKeys
    model_refs: dict[str, ModelRef]
    tallies: Tallies
    rate_limits: RateLimits
    memory: Memory

    def model_ref(self, model_id: str) -> ModelRef:
        """Id, name and sha256 of a model version, remembered since it never changes."""
        known = self.model_refs.get(model_id)
        if known is None:
            with self.database.read() as connection:
                row = connection.execute(
                    select(ModelVersion.name, ModelVersion.sha256).where(ModelVersion.id == model_id)
                ).one()
            known = {"id": model_id, "name": row.name, "sha256": row.sha256}
            self.model_refs[model_id] = known
        return known

    def complete(self, batch_id: str) -> None:
        """Ask whether a batch has ended, in a transaction of its own, and tell of the deliveries it owes."""
        tell = endings.Tell(self.send_delivery, self.waiting.wake, self.settings.public_base)
        endings.end(self.database, tell, [batch_id])

    def stop(self) -> None:
        """Answer all waiting requests and send what the announcer still holds: the process is about to end."""
        self.waiting.stop()
        self.announcer.stop()
        self.tallies.stop(self.database)

    def send_delivery(self, delivery_id: str) -> None:
        """Make the webhooks workers look for due deliveries, this one among them."""
        self.announcer.send(queues.DELIVER, [delivery_id], queues.WEBHOOKS)

    def batch_payload(self, row: BatchRecord, base: str, at: float | None = None) -> BatchPayload:
        """A batch as the contract shows it, links included; `at` is when the row was so, by default now."""
        return batch_payload(row, model=self.model_ref(row.model_id), base=base, at=at)


def service() -> Service:
    """The running application's service."""
    return cast(Service, current_app.extensions["gonogo"])
