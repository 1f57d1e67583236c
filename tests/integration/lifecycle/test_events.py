"""Events of a batch: one for each change of its state, with the batch as it stood, visible in their order."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import select

from shared.clock import now
from shared.lifecycle import closing, endings, events, purging, steering, uploads
from shared.store.engine import Database
from shared.store.records import BatchRecord
from shared.store.tables import Batch, BatchEvent
from tests.harness.rows import hand_back, make_batch, must_claim, record, run


def row_of(database: Database, batch_id: str) -> BatchRecord:
    with database.read() as connection:
        return BatchRecord._make(
            connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
        )


def kinds(database: Database, batch_id: str) -> list[str]:
    with database.read() as connection:
        return [event.type for event in events.later(connection, batch_id, 0, 1000)]


# No answer shows the run, and the marks of the ETA are of now.
UNTOLD: Any = {"run": 1, "retried_at": None, "pace_at": None, "pace_done": 0, "mark_at": None, "mark_done": 0}


def test_each_change_of_state_has_an_event_with_the_batch_as_it_stood(
    database: Database, model_id: str
) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2)
    seen = {}

    def look() -> None:
        row = row_of(database, batch_id)
        seen[row.version] = row._replace(**UNTOLD)

    first = must_claim(database, "one")
    look()
    record(database, first)
    run(database, steering.pause, batch_id)
    look()
    run(database, steering.resume, batch_id)
    look()
    record(database, must_claim(database, "two"), error_code="corrupt_image", verdict=None)
    run(database, endings.complete, batch_id)
    look()
    run(database, steering.retry, batch_id)
    look()
    run(database, closing.cancel, batch_id)
    look()
    run(database, endings.complete, batch_id)
    look()
    with database.read() as connection:
        told = events.later(connection, batch_id, 0, 100)
        assert events.newest(connection, batch_id, 3) == told[-3:]
        assert events.later(connection, batch_id, told[1].seq, 2) == told[2:4]
    assert [event.type.removeprefix("batch.") for event in told] == [
        "started", "paused", "resumed", "completed", "retried", "cancelling", "cancelled",
    ]  # fmt: skip
    newest = row_of(database, batch_id)
    assert [events.then(newest, event)._replace(**UNTOLD) for event in told] == list(seen.values())
    assert run(database, purging.purge_rows, batch_id)
    assert kinds(database, batch_id) == []


def test_a_batch_begins_once_however_often_its_chunk_comes_back(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    for _ in range(3):
        held = must_claim(database)
        run(database, steering.pause, batch_id)
        hand_back(database, held, 0.0)
        run(database, steering.resume, batch_id)
    assert kinds(database, batch_id).count("batch.started") == 1


def test_work_that_begins_before_the_seal_is_told_after_the_batch(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, sealed=False)
    must_claim(database)
    assert kinds(database, batch_id) == []
    with database.write() as connection:
        sealed = uploads.seal(connection, batch_id, None, at=now(), most_items=10)
        uploads.note_created(connection, sealed)
    assert kinds(database, batch_id) == ["batch.created", "batch.started"]


def test_a_change_that_is_refused_has_no_event(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    run(database, steering.resume, batch_id)
    run(database, steering.retry, batch_id)
    run(database, endings.complete, batch_id)
    assert kinds(database, batch_id) == []


def test_a_reader_that_asks_for_what_is_later_misses_no_event_of_two_writers(
    database: Database, model_id: str
) -> None:
    """An automatic number is taken before the commit, so a reader could see 8, go on from there, and never see 7."""
    batch_id, done = make_batch(database, model_id), threading.Event()
    both = threading.Barrier(2)  # else one writer may end before the other begins
    seen: list[int] = []

    def write(change: object) -> None:
        for _ in range(40):
            both.wait(60)
            run(database, change, batch_id)  # type: ignore[arg-type]

    def read() -> None:
        last = False
        while not last:
            last = done.is_set()
            with database.read() as connection:
                found = events.later(connection, batch_id, seen[-1] if seen else 0, 5)
            seen.extend(event.seq for event in found)
            last = last and not found

    with ThreadPoolExecutor(3) as pool:
        reading = pool.submit(read)
        writing = [pool.submit(write, change) for change in (steering.pause, steering.resume)]
        for each in writing:
            each.result(60)
        done.set()
        reading.result(60)
    with database.read() as connection:
        wrote = list(
            connection.scalars(
                select(BatchEvent.seq).where(BatchEvent.batch_id == batch_id).order_by(BatchEvent.seq)
            )
        )
    assert len(wrote) >= 40
    assert seen == wrote


def test_an_event_that_is_not_committed_holds_up_the_next_one(database: Database, model_id: str) -> None:
    batch_id, paused, may_commit = make_batch(database, model_id), threading.Event(), threading.Event()

    def pause() -> None:
        with database.write() as connection:
            steering.pause(connection, batch_id)
            paused.set()
            assert may_commit.wait(20)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pause)
        assert paused.wait(20)
        second = pool.submit(run, database, closing.cancel, batch_id)
        assert not second.done()
        assert kinds(database, batch_id) == []
        may_commit.set()
        first.result(20)
        assert second.result(20)
    assert kinds(database, batch_id) == ["batch.paused", "batch.cancelling"]
