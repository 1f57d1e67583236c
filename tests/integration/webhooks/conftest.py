"""An installation whose webhooks may reach loopback, and a receiver."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from shared.store.tables import Attempt, Delivery, WebhookEndpoint
from tests.harness.application import Application, application
from tests.harness.databases import migrated_database_url
from tests.harness.receivers import Receiver


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("hooks")
    changed = {"webhook_allowed_networks": "127.0.0.0/8", "public_url": "https://parts.example/gonogo"}
    with (
        migrated_database_url(request.param, folder) as url,
        application(folder, artifact, broker_url, url, **changed) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def _clean(app: Application) -> Iterator[None]:
    yield
    with app.database.write() as connection:
        for table in (Attempt, Delivery, WebhookEndpoint):
            connection.execute(delete(table))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
