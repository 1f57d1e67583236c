"""The audit trail on both databases: gapless chains under load, and every kind of tampering is found and named."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, insert, select, update

from shared.access import audit_chain
from shared.access.audit import Actor, append, digest
from shared.clock import now
from shared.store.engine import Database
from shared.store.records import AuditRecord
from shared.store.tables import AuditChain, AuditEntry

ACTOR = Actor("key_1", "192.0.2.7", "req-1")


@pytest.fixture
def trail(database_url: str) -> Iterator[Database]:
    made = Database(database_url, pool_size=20)
    yield made
    made.dispose()


def enter(database: Database, number: int = 1) -> None:
    for each in range(number):
        with database.write() as connection:
            append(connection, ACTOR, "batch.submit", tenant="t", object_id=f"bat_{each}", items=each)


def faults(database: Database) -> list[str]:
    with database.read() as connection:
        return [str(fault) for fault in audit_chain.verify(connection)]


def rows(database: Database) -> list[AuditRecord]:
    query = select(AuditEntry.__table__).order_by(AuditEntry.chain, AuditEntry.seq)
    with database.read() as connection:
        return [AuditRecord._make(row) for row in connection.execute(query)]


def change(database: Database, row: AuditRecord, **values: object) -> None:
    with database.write() as connection:
        of_row = (AuditEntry.chain == row.chain, AuditEntry.seq == row.seq)
        connection.execute(update(AuditEntry).where(*of_row).values(values))


def test_many_at_once_leave_chains_without_a_gap(trail: Database) -> None:
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda _: enter(trail, 10), range(24)))
    found = rows(trail)
    assert len(found) == 240
    assert faults(trail) == []
    for chain in {row.chain for row in found}:
        numbers = [row.seq for row in found if row.chain == chain]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_change_that_is_undone_leaves_neither_entry_nor_gap(trail: Database) -> None:
    enter(trail)
    with pytest.raises(RuntimeError), trail.write() as connection:
        append(connection, ACTOR, "batch.submit", tenant="t", object_id="bat_lost")
        raise RuntimeError("the change breaks off")
    enter(trail)
    assert [row.object_id for row in rows(trail)] == ["bat_0", "bat_0"]
    assert faults(trail) == []


def test_an_entry_does_not_wait_for_another_transaction_to_commit(trail: Database) -> None:
    if trail.is_sqlite:
        pytest.skip("SQLite has one writing transaction at a time, with or without the trail")
    enter(trail)
    with trail.write() as held:
        append(held, ACTOR, "batch.submit", tenant="t", object_id="bat_held")
        began = time.monotonic()
        enter(trail, 3)
        assert time.monotonic() - began < 2.0
    assert len({row.chain for row in rows(trail)}) == 2
    assert faults(trail) == []


def test_with_every_chain_held_an_entry_waits_for_one(trail: Database) -> None:
    if trail.is_sqlite:
        pytest.skip("SQLite has one writing transaction at a time")
    with trail.write() as holder:
        holder.execute(select(AuditChain.chain).with_for_update()).all()
        waiting = threading.Thread(target=enter, args=(trail,))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join(10)
    assert len(rows(trail)) == 1
    assert faults(trail) == []


@pytest.mark.parametrize(
    "field", ["at", "tenant", "action", "object_id", "key_id", "address", "request_id", "detail", "id"]
)
def test_a_changed_entry_is_named(trail: Database, field: str) -> None:
    enter(trail, 5)
    row = rows(trail)[2]
    change(trail, row, **{field: 1.0 if field == "at" else "x"})
    name = "x" if field == "id" else row.id
    assert faults(trail) == [f"entry {name} (chain {row.chain}, number 3) was changed"]


@pytest.mark.parametrize("place", [0, 2, 4])
def test_an_entry_that_was_written_again_with_a_new_hash_is_named(trail: Database, place: int) -> None:
    enter(trail, 5)
    forged = rows(trail)[place]._replace(key_id="key_2")
    change(trail, forged, key_id="key_2", hash=digest(forged))
    (fault,) = faults(trail)
    assert f"entry {forged.id} (chain {forged.chain}, number {place + 1}) is not the one that" in fault


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_missing_entry_is_found_at_every_place(trail: Database, place: int) -> None:
    enter(trail, 5)
    row = rows(trail)[place]
    with trail.write() as connection:
        connection.execute(delete(AuditEntry).where(AuditEntry.id == row.id))
    assert faults(trail) == [f"an entry (chain {row.chain}, number {place + 1}) is missing"]


def test_a_gap_is_told_once_and_an_empty_trail_is_a_gap(trail: Database) -> None:
    enter(trail, 5)
    with trail.write() as connection:
        connection.execute(delete(AuditEntry))
    assert faults(trail) == ["an entry (chain 1, number 1) and those up to number 5 are missing"]


def test_a_head_that_is_gone_is_found_and_nothing_is_done_without_an_entry(trail: Database) -> None:
    enter(trail)
    with trail.write() as connection:
        connection.execute(delete(AuditChain).where(AuditChain.chain == 7))
    assert faults(trail) == ["an entry (chain 7, number 0) is missing: it is the head of the chain"]
    with trail.write() as connection:
        connection.execute(delete(AuditEntry))
        connection.execute(delete(AuditChain))
    assert len(faults(trail)) == 16
    with pytest.raises(RuntimeError, match="gonogo doctor"):
        enter(trail)


def test_an_inserted_entry_is_named(trail: Database) -> None:
    enter(trail, 3)
    last = rows(trail)[-1]
    for chain, seq in ((last.chain, 4), (99, 1)):
        forged = last._replace(chain=chain, seq=seq, id=f"aud_forged{chain}", previous=last.hash)
        forged = forged._replace(hash=digest(forged))
        with trail.write() as connection:
            connection.execute(insert(AuditEntry).values(forged._asdict()))
    assert [fault.partition(" (")[0] for fault in faults(trail)] == [
        "entry aud_forged1",
        "entry aud_forged99",
    ]
    assert all("was inserted" in fault for fault in faults(trail))


def test_what_is_past_its_retention_goes_and_the_rest_can_still_be_verified(trail: Database) -> None:
    enter(trail, 5)
    cut = rows(trail)[2].at + 0.0005
    time.sleep(0.01)
    enter(trail, 2)
    moment = rows(trail)[5].at
    with trail.read() as connection:
        assert audit_chain.outlived(connection, cut - 1000) == []
        assert audit_chain.outlived(connection, moment) == [1]
    with trail.write() as connection:
        assert audit_chain.prune(connection, 1, moment) == 5
    left = rows(trail)
    assert [row.seq for row in left] == [6, 7, 8]
    assert (left[-1].action, left[-1].tenant) == ("audit.prune", "*")
    assert faults(trail) == []
    change(trail, left[0], key_id="x")
    assert len(faults(trail)) == 1
    with trail.write() as connection:
        connection.execute(delete(AuditEntry).where(AuditEntry.seq == 6))
    assert faults(trail) == ["an entry (chain 1, number 6) is missing"]


def test_a_removal_does_not_hide_a_forged_time(trail: Database) -> None:
    enter(trail, 3)
    row = rows(trail)[0]
    change(trail, row, at=1.0)
    with trail.write() as connection:
        assert audit_chain.prune(connection, 1, now() - 3600) == 0
    assert faults(trail) == [f"entry {row.id} (chain 1, number 1) was changed"]


def test_entries_that_are_added_and_removed_meanwhile_are_no_faults(trail: Database) -> None:
    stop, found = threading.Event(), []

    def verify() -> None:
        while not stop.is_set():
            found.extend(faults(trail))

    def prune() -> None:
        while not stop.is_set():
            with trail.write() as connection:
                audit_chain.prune(connection, 1, now(), most=5)

    watching = [threading.Thread(target=verify), threading.Thread(target=prune)]
    for thread in watching:
        thread.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: enter(trail, 30), range(4)))
    stop.set()
    for thread in watching:
        thread.join(30)
    assert found == []
    assert faults(trail) == []
