"""The chunks of a paused batch are held, whatever else happens to them meanwhile."""

from sqlalchemy import select, update

from shared.contract.states import ChunkStatus
from shared.lifecycle import cover, endings, events, leases, steering
from shared.store.engine import Database
from shared.store.tables import Batch, Chunk
from tests.harness.rows import batch_row, claim, hand_back, make_batch, must_claim, record, run


def statuses(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(select(Chunk.status).order_by(Chunk.first_seq)))


def test_a_chunk_that_comes_back_while_its_batch_is_paused_is_held(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2)
    handed_back, expired = must_claim(database, "one"), must_claim(database, "two")
    assert run(database, steering.pause, batch_id)
    assert hand_back(database, handed_back, 0.0)
    run(database, leases.end_lease, expired.chunk_id, expired.token, _until(database, expired.chunk_id))
    run(database, leases.return_expired, expired.chunk_id, 1)  # the last attempt: halved
    assert statuses(database) == [ChunkStatus.HELD] * 3
    assert claim(database) is None
    assert run(database, steering.resume, batch_id) == 3
    assert must_claim(database).batch_id == batch_id


def test_verdicts_of_chunks_under_way_are_kept_and_the_batch_stays_paused(
    database: Database, model_id: str
) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2)
    held = must_claim(database)
    run(database, steering.pause, batch_id)
    record(database, held)
    row = batch_row(database, batch_id)
    assert (row.status, row.succeeded, row.queued) == ("paused", 2, 2)


def test_an_item_that_no_chunk_covers_gets_a_held_one_in_a_paused_batch(
    database: Database, model_id: str
) -> None:
    batch_id = make_batch(database, model_id)
    run(database, steering.pause, batch_id)
    with database.write() as connection:
        connection.execute(update(Chunk).values(status=ChunkStatus.DONE))
    run(database, cover.cover, batch_id)
    assert statuses(database) == [ChunkStatus.DONE, ChunkStatus.HELD]


def test_chunks_that_do_not_stand_as_their_batch_asks_are_found_and_placed(
    database: Database, model_id: str
) -> None:
    paused, running = make_batch(database, model_id), make_batch(database, model_id)
    make_batch(database, model_id)
    with database.write() as connection:
        connection.execute(update(Batch).where(Batch.id == paused).values(status="paused"))
        connection.execute(update(Chunk).where(Chunk.batch_id == running).values(status=ChunkStatus.HELD))
    with database.read() as connection:
        found = steering.misplaced(connection, 10)
    assert found == sorted([(paused, True), (running, False)])
    assert [run(database, steering.place, batch_id) for batch_id in (paused, running)] == [0, 1]
    with database.read() as connection:
        assert steering.misplaced(connection, 10) == []


def test_the_time_between_an_end_and_a_retry_is_idle(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=2, per_chunk=2)
    record(database, must_claim(database), verdict=None, score=None, error_code="timeout")
    run(database, endings.complete, batch_id)
    with database.write() as connection:
        at = update(Batch).values(started_at=Batch.started_at - 100, finished_at=Batch.finished_at - 90)
        connection.execute(at)
    assert run(database, steering.retry, batch_id) is not None
    record(database, must_claim(database))
    run(database, endings.complete, batch_id)
    row = batch_row(database, batch_id)
    assert 90 <= row.idle_s < 100
    with database.read() as connection:
        ended = [event for event in events.later(connection, batch_id, 0, 100) if event.finished_at]
    assert [event.idle_s for event in ended] == [0, row.idle_s]


def _until(database: Database, chunk_id: int) -> float:
    with database.read() as connection:
        return float(connection.scalar(select(Chunk.lease_until).where(Chunk.id == chunk_id)) or 0)
