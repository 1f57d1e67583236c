"""The connections that an upkeep step works with."""

from dataclasses import dataclass

import redis
from celery import Celery

from shared.blobs.store import BlobStore
from shared.broker.connection import connect
from shared.broker.messages import ChunkMessages
from shared.lifecycle.endings import Tell
from shared.settings import Settings
from shared.store.engine import Database
from worker.telling import teller


@dataclass(frozen=True)
class Site:
    """One installation as upkeep sees it."""

    settings: Settings
    celery: Celery
    database: Database
    blobs: BlobStore
    broker: "redis.Redis"
    chunk_messages: ChunkMessages
    tell: Tell


def open_site(settings: Settings, celery: Celery) -> Site:
    """Connect to an installation; close it with `site.database.dispose()`."""
    broker: redis.Redis = connect(settings)
    return Site(
        settings=settings,
        celery=celery,
        database=Database(settings.database, durable=False, pool_size=2),
        blobs=BlobStore(settings.blobs),
        broker=broker,
        chunk_messages=ChunkMessages(broker),
        tell=teller(celery, broker),
    )
