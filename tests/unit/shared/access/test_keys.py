"""Keys: a secret is shown once, kept as a hash, and ends when it is revoked or its time is over."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from shared.access import keys, sessions
from shared.clock import now
from shared.store.engine import Database
from shared.store.tables import ApiKey, Session
from tests.harness.databases import prepare


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    database = Database(f"sqlite:///{tmp_path / 'keys.db'}")
    prepare(database)
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


def test_a_rotated_key_lives_for_its_grace_and_no_longer_than_it_would_have(connection: Connection) -> None:
    for lives_s, grace_s, expected in ((None, 60, 60), (600, 60, 60), (30, 60, 30)):
        identifier, secret = make(connection, None if lives_s is None else now() + lives_s)
        old = keys.get_key(connection, identifier)
        assert old is not None
        new_id, new_secret = keys.rotate_key(connection, old, grace_s=grace_s, expires_at=None)
        still = keys.find_key(connection, secret)
        assert still is not None
        assert still.replaced_by == new_id
        assert still.expires_at is not None
        assert abs(still.expires_at - now() - expected) < 5
        new = keys.find_key(connection, new_secret)
        assert new is not None
        assert (new.name, new.tenant, new.scopes) == (old.name, old.tenant, old.scopes)


def test_a_key_is_rotated_once_and_without_grace_it_ends_at_once(connection: Connection) -> None:
    identifier, secret = make(connection)
    old = keys.get_key(connection, identifier)
    assert old is not None
    keys.rotate_key(connection, old, grace_s=0, expires_at=None)
    assert keys.find_key(connection, secret) is None
    with pytest.raises(keys.AlreadyReplaced), connection.begin_nested():
        keys.rotate_key(connection, old, grace_s=0, expires_at=None)


def test_a_session_ends_with_its_token_its_time_and_its_key(connection: Connection) -> None:
    identifier, _ = make(connection)

    def begun(lasts_s: float = 60.0) -> str:
        return sessions.begin(connection, identifier, lasts_s)[1]

    found = sessions.find_key(connection, token := begun())
    assert found is not None
    assert found.id == identifier
    assert token not in str(connection.execute(select(Session.__table__)).all())
    ended = sessions.end(connection, token)
    assert ended is not None
    assert (ended.key_id, ended.tenant) == (identifier, "t")
    assert sessions.find_key(connection, token) is None
    assert sessions.end(connection, token) is None
    assert sessions.find_key(connection, begun(lasts_s=-1)) is None
    token = begun()
    assert keys.revoke_key(connection, "t", identifier)
    assert sessions.find_key(connection, token) is None


def test_rows_of_ended_sessions_are_found_and_no_others(connection: Connection) -> None:
    live, _ = make(connection)
    brief, _ = make(connection, now() + 60)
    kept, _ = sessions.begin(connection, live, 600)
    over, _ = sessions.begin(connection, live, -1)
    of_brief, _ = sessions.begin(connection, brief, 600)
    assert sessions.outlived(connection, now(), 10) == [over]
    assert set(sessions.outlived(connection, now() + 100, 10)) == {over, of_brief}
    sessions.forget(connection, [over, of_brief])
    assert list(connection.scalars(select(Session.id))) == [kept]
