"""Keys that a web process remembers."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from shared.access import keys
from shared.store.engine import Database
from shared.store.records import ApiKeyRecord
from shared.store.tables import ApiKey
from tests.harness.databases import prepare
from web.http.known_keys import KnownKeys


def test_a_key_that_is_revoked_during_its_look_up_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    prepare(database)
    with database.write() as connection:
        made, secret = keys.create_key(connection, tenant="default", name="camera", scopes=["read"])
    known = KnownKeys(database)
    find = keys.find_key

    def find_and_revoke(connection: object, asked: str) -> ApiKeyRecord | None:
        row = find(connection, asked)  # type: ignore[arg-type]
        with database.write() as writing:
            assert keys.revoke_key(writing, "default", made)
        known.forget()
        return row

    monkeypatch.setattr(keys, "find_key", find_and_revoke)
    assert known.by_secret(secret) is not None, "it was live when it was looked up"
    monkeypatch.setattr(keys, "find_key", find)
    assert known.by_secret(secret) is None
    database.dispose()


@pytest.mark.parametrize(
    ("ahead_s", "noted"), [(-30.0, False), (-90.0, True), (90.0, False), (400 * 86_400.0, True)]
)
def test_a_use_that_was_noted_under_a_clock_that_ran_ahead_is_noted_again(
    tmp_path: Path, ahead_s: float, noted: bool
) -> None:
    """A server of the database whose clock is a little ahead causes no write at each look-up."""
    database = Database(f"sqlite:///{tmp_path}/a.db")
    prepare(database)
    with database.write() as connection:
        _, secret = keys.create_key(connection, tenant="default", name="camera", scopes=["read"])
        connection.execute(update(ApiKey).values(last_used_at=time.time() + ahead_s))
    known, began = KnownKeys(database), threading.active_count()
    known.find_live(secret)
    deadline = time.monotonic() + 10
    while threading.active_count() > began and time.monotonic() < deadline:
        time.sleep(0.01)
    with database.read() as connection:
        used_at = connection.scalar(select(ApiKey.last_used_at)) or 0.0
    assert (abs(used_at - time.time()) < 20) == noted
    database.dispose()
