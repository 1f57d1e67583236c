"""Keys: a secret is shown once, kept as a hash, and ends when it is revoked or its time is over."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from shared.access import keys
from shared.clock import now
from shared.store.engine import Database
from shared.store.migrations import migrate
from shared.store.tables import ApiKey


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    database = Database(f"sqlite:///{tmp_path / 'keys.db'}")
    migrate(database)
    with database.write() as made:
        yield made
    database.dispose()


def make(connection: Connection, expires_at: float | None = None) -> tuple[str, str]:
    return keys.create_key(connection, tenant="t", name="n", scopes=["read", "submit"], expires_at=expires_at)


def test_a_key_is_found_by_its_secret_and_by_nothing_else(connection: Connection) -> None:
    identifier, secret = make(connection)
    found = keys.find_key(connection, secret)
    assert found is not None
    assert (found.id, found.tenant, found.scopes) == (identifier, "t", ["read", "submit"])
    head, prefix, random = secret.split("_")
    wrong = random[:-1] + ("0" if random[-1] != "0" else "1")
    for other in (
        "",
        "x",
        prefix,
        f"{head}_{prefix}_",
        f"{head}_{prefix}_{wrong}",
        f"x_{prefix}_{random}",
        secret + "_",
    ):
        assert keys.find_key(connection, other) is None, other


def test_only_the_hash_is_kept(connection: Connection) -> None:
    _, secret = make(connection)
    row = connection.execute(select(ApiKey.__table__)).one()
    assert row.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in map(str, row)


def test_secrets_have_256_random_bits(connection: Connection) -> None:
    secrets = {make(connection)[1] for _ in range(20)}
    assert len(secrets) == 20
    assert {len(bytes.fromhex(secret.split("_")[2])) for secret in secrets} == {32}


def test_a_revoked_key_is_found_no_more(connection: Connection) -> None:
    identifier, secret = make(connection)
    assert not keys.revoke_key(connection, "another tenant", identifier)
    assert keys.find_key(connection, secret) is not None
    assert keys.revoke_key(connection, "t", identifier)
    assert not keys.revoke_key(connection, "t", identifier)
    assert keys.find_key(connection, secret) is None
    assert keys.get_key(connection, identifier) is None
    assert keys.list_keys(connection, "t") == []


def test_an_expired_key_is_found_no_more(connection: Connection) -> None:
    for expires_at, lives in ((now() - 1, False), (now() + 600, True), (None, True)):
        identifier, secret = make(connection, expires_at)
        assert (keys.find_key(connection, secret) is not None) == lives
        assert (keys.get_key(connection, identifier) is not None) == lives


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "root"], ["READ"]])
def test_a_scope_that_is_none_is_refused(connection: Connection, scopes: list[str]) -> None:
    with pytest.raises(keys.UnknownScope):
        keys.create_key(connection, tenant="t", name="n", scopes=scopes)


def test_all_processes_share_one_secret_of_a_name(connection: Connection) -> None:
    first = keys.service_secret(connection, "session")
    assert len(first) == 32
    assert keys.service_secret(connection, "session") == first
    assert keys.service_secret(connection, "another") != first
