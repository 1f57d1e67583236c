"""The connections that an upkeep step works with."""

from dataclasses import dataclass

from celery import Celery

from shared.blobs.store import BlobStore
from shared.broker.connection import Broker, open_broker
from shared.broker.messages import ChunkMessages
from shared.broker.tasks import celery_app
from shared.lifecycle.endings import Tell
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.installation import named
from worker.telling import teller
from worker.upkeep.steady import SteadyClock
from worker.upkeep.unchanged import Unchanged


@dataclass(frozen=True)
class Site:
    """An installation as upkeep sees it."""

    settings: Settings
    celery: Celery
    database: Database
    blobs: BlobStore
    broker: Broker
    chunk_messages: ChunkMessages
    tell: Tell
    clock: SteadyClock
    unchanged: Unchanged


def open_site(settings: Settings) -> Site:
    """Connect to an installation; close it with `site.database.dispose()`."""
    database = Database(settings.database, durable=False, pool_size=2, settle_s=settings.clock_settle_s)
    settings = named(settings, database)
    celery, broker = celery_app(settings), open_broker(settings)
    return Site(
        settings=settings,
        celery=celery,
        database=database,
        blobs=BlobStore(settings.blobs),
        broker=broker,
        chunk_messages=ChunkMessages(broker),
        tell=teller(celery, broker, settings),
        clock=SteadyClock(database, settings.clock_settle_s),
        unchanged=Unchanged(),
    )
