"""Claims, leases and verdicts are compare-and-set: the first wins, the others change nothing."""

import threading

import pytest
from sqlalchemy import select, update

from shared.lifecycle import endings, leases, verdicts
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database
from shared.store.tables import Chunk, Item
from tests.harness.rows import batch_row, claim, ended_leases, hand_back, make_batch, must_claim, record, run


def test_a_claim_takes_a_chunk_its_items_and_an_attempt(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    held = must_claim(database)
    assert [item.seq for item in held.items] == [0, 1, 2, 3]
    assert (held.batch_id, held.attempt, held.model_id, held.threshold) == (batch_id, 1, model_id, 0.5)
    row = batch_row(database, batch_id)
    assert (row.status, row.processing, row.started_at is not None) == ("processing", 4, True)
    assert claim(database) is None


def test_chunks_are_claimed_oldest_first_and_by_lane(database: Database, model_id: str) -> None:
    make_batch(database, model_id, items=3, per_chunk=1)
    with database.write() as connection:
        connection.execute(update(Chunk).where(Chunk.first_seq == 0).values(lane="low"))
    assert [must_claim(database).items[0].seq for _ in range(2)] == [1, 2]
    assert claim(database) is None


def test_many_claimers_at_once_share_the_chunks_without_overlap(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=24, per_chunk=2)
    seen: list[int] = []
    start = threading.Barrier(6)

    def take(name: str) -> None:
        start.wait(30)
        while (held := claim(database, name)) is not None:
            seen.extend(item.seq for item in held.items)

    threads = [threading.Thread(target=take, args=(f"t{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seen) == list(range(24))
    assert batch_row(database, batch_id).processing == 24


def test_verdicts_are_written_and_counted_once(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    held = must_claim(database)
    assert record(database, held) == verdicts.Recorded(batch_id, open=0, abort=False)
    assert record(database, held, verdict="no_defect") is None
    row = batch_row(database, batch_id)
    assert (row.succeeded, row.defect) == (4, 4)


def test_a_late_zombie_writes_nothing(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    zombie = must_claim(database, "zombie", lease_s=-1)
    run(database, leases.return_expired, zombie.chunk_id, 3)
    heir = must_claim(database, "heir")
    assert heir.attempt == 2
    assert record(database, zombie, verdict="no_defect") is None
    assert not run(database, leases.renew, zombie.chunk_id, "zombie", 60)
    assert not hand_back(database, zombie)
    assert record(database, heir) is not None
    assert batch_row(database, batch_id).defect == 4
    with database.read() as connection:
        assert set(connection.scalars(select(Item.attempts))) == {2}


def test_a_lease_that_was_renewed_is_not_taken(database: Database, model_id: str) -> None:
    make_batch(database, model_id)
    held = must_claim(database, lease_s=-1)
    assert run(database, ended_leases) == [held.chunk_id]
    assert run(database, leases.renew, held.chunk_id, "mine", 60)
    assert run(database, ended_leases) == []
    assert run(database, leases.return_expired, held.chunk_id, 3) is None
    assert claim(database) is None


def test_a_record_that_lacks_an_item_is_refused_whole(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    held = must_claim(database)
    with pytest.raises(AssertionError), database.write() as connection:
        some = [Result(item.seq, verdict="defect", score=0.9) for item in held.items[:3]]
        verdicts.record(connection, [(held, some)], model_sha256="f" * 64)
    assert batch_row(database, batch_id).processing == 4
    assert record(database, held) is not None


def test_a_chunk_that_kills_is_halved_until_the_poison_is_alone(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=5, per_chunk=5)
    deaths, poison = 0, 3
    while (held := claim(database, f"t{deaths}", lease_s=-1)) is not None:
        if any(item.seq == poison for item in held.items):
            deaths += 1
            run(database, leases.return_expired, held.chunk_id, 2)
        else:
            assert record(database, held) is not None
        assert deaths < 20
        batch_row(database, batch_id)
    row = batch_row(database, batch_id)
    assert (row.succeeded, row.failed) == (4, 1)
    with database.read() as connection:
        failed = connection.execute(select(Item.seq, Item.error_code).where(Item.status == "failed")).one()
    assert tuple(failed) == (poison, "poison_image")
    assert run(database, endings.complete, batch_id) is not None


def test_only_the_lease_of_the_named_token_is_ended(database: Database, model_id: str) -> None:
    make_batch(database, model_id)
    held = must_claim(database)
    with database.read() as connection:
        until = connection.scalar(select(Chunk.lease_until).where(Chunk.id == held.chunk_id))
    assert until is not None
    run(database, leases.end_lease, held.chunk_id, "another", until)
    run(database, leases.end_lease, held.chunk_id, "mine", until - 1)  # it was renewed meanwhile
    assert run(database, ended_leases) == []
    run(database, leases.end_lease, held.chunk_id, "mine", until)
    assert run(database, ended_leases) == [held.chunk_id]
