"""An empty, migrated database of each kind, with one model."""

from collections.abc import Iterator

import pytest
from sqlalchemy import delete, insert

from shared.clock import now
from shared.ids import new_id
from shared.store.engine import Database
from shared.store.tables import (
    Batch,
    BatchEvent,
    Chunk,
    Delivery,
    Fetch,
    Item,
    ModelVersion,
    Opinion,
    Part,
    Rescoring,
    ReviewEntry,
    Shadow,
    ShadowBatch,
    ShadowScore,
    Telling,
    WebhookEndpoint,
)
from tests.harness.databases import migrated_database_url
from tests.harness.lock_order import lock_order

_TABLES = (
    Shadow, ShadowBatch, ShadowScore,
    Rescoring, Opinion, ReviewEntry, BatchEvent, Telling, WebhookEndpoint, Delivery, Chunk, Fetch, Part, Item,
    Batch, ModelVersion,
)  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database of each kind for the module: a new one for each test would be most of its time."""
    with migrated_database_url(request.param, tmp_path_factory.mktemp("database")) as url:
        made = Database(url)
        yield made
        made.dispose()


@pytest.fixture
def database(migrated: Database, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database without a row, whose transactions take their locks in the order of all others."""
    with lock_order(migrated) as faults:
        yield migrated
    # SQLite locks no rows, and a walk puts calls of several transactions into one.
    if not migrated.is_sqlite and request.path.name != "test_walks.py":
        assert sorted({*faults}) == []
    with migrated.write() as connection:
        for table in _TABLES:
            connection.execute(delete(table))


@pytest.fixture
def model_id(database: Database) -> str:
    identifier = new_id("mdl")
    with database.write() as connection:
        connection.execute(
            insert(ModelVersion).values(
                id=identifier, name="m", sha256="0" * 64, threshold=0.5, review_low=0.4, review_high=0.6,
                card={}, tenant="*", status="ready", created_at=now(),
            )
        )  # fmt: skip
    return identifier
