"""Keys that a web process remembers."""

from pathlib import Path

import pytest

from shared.access import keys
from shared.store.engine import Database
from shared.store.records import ApiKeyRecord
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
