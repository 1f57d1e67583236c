"""An upload over a connection: opened, appended to and sealed, by one request or by many, on both databases."""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, update

from shared.clock import now
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import ChunkStatus
from shared.ids import new_id
from shared.lifecycle import idempotency, uploads
from shared.lifecycle.received import NewBatch, Notes, Piece, ReceivedItem, Terms
from shared.lifecycle.uploads import UploadLost
from shared.store.engine import Database, clock
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Chunk, Item, Submission
from tests.harness.application import Application

_NO_NOTES = Notes()


@pytest.fixture
def database(app: Application) -> Iterator[Database]:
    yield app.database
    with app.database.write() as connection:
        for table in (Chunk, Item, Batch, Submission):
            connection.execute(table.__table__.delete())  # type: ignore[attr-defined]


@pytest.fixture
def terms(app: Application) -> Terms:
    return Terms("normal", app.model_id, OperatingPoint(0.5, 0.4, 0.6), 3600.0)


def piece(pack: int, *seqs: int, bad: int | None = None) -> Piece:
    items = [ReceivedItem(seq, f"{seq}.jpg", "0" * 64, 10 * seq, 10) for seq in seqs]
    if bad is not None:
        items.append(ReceivedItem(bad, f"{bad}.jpg", None, 0, 0, ("too_large", "too large")))
    return Piece(pack, 10 * len(seqs), items)


def batch_row(database: Database, batch_id: str) -> BatchRecord:
    with database.read() as connection:
        return BatchRecord._make(
            connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
        )


def chunks(database: Database, batch_id: str) -> list[tuple[str, int, int, int]]:
    query = select(Chunk.status, Chunk.first_seq, Chunk.last_seq, Chunk.pack).where(
        Chunk.batch_id == batch_id
    )
    with database.read() as connection:
        return [(*row,) for row in connection.execute(query.order_by(Chunk.id))]


def open_batch(
    database: Database, terms: Terms, first: Piece, *, lease_s: float | None = 60.0, hold: bool = False
) -> str:
    batch = NewBatch(new_id("bat"), "t")
    with database.write() as connection:
        uploads.open_batch(connection, batch, terms, first, at=now(), lease_s=lease_s, hold=hold)
    return batch.id


def append(database: Database, batch_id: str, more: Piece, *, hold: bool = False) -> None:
    with database.write() as connection:
        uploads.append(connection, batch_id, more, "normal", at=now(), lease_s=60.0, hold=hold)


def seal(
    database: Database,
    batch_id: str,
    terms: Terms | None = None,
    notes: Notes = _NO_NOTES,
    most_items: int = 1000,
) -> uploads.Sealed:
    with database.write() as connection:
        return uploads.seal(connection, batch_id, terms, at=now(), most_items=most_items, notes=notes)


def test_a_batch_of_many_requests_grows_until_it_is_sealed(database: Database, terms: Terms) -> None:
    batch_id = open_batch(database, terms, piece(0, 0, 1))
    append(database, batch_id, piece(1, 2, 3, bad=4))
    append(database, batch_id, piece(2))  # a request without an image adds nothing
    row = batch_row(database, batch_id)
    assert (row.total, row.queued, row.failed, row.bytes, row.sealed) == (5, 4, 1, 40, False)
    # The refused image has a chunk that no worker claims: it is told of like those that were judged.
    assert chunks(database, batch_id) == [("queued", 0, 1, 0), ("done", 4, 4, 0), ("queued", 2, 3, 1)]
    assert seal(database, batch_id) == uploads.Sealed(released=0, open=4)
    row = batch_row(database, batch_id)
    assert (row.sealed, row.upload_lease_until) == (True, None)


def test_a_batch_that_is_sealed_as_it_opens_has_no_lease(database: Database, terms: Terms) -> None:
    row = batch_row(database, open_batch(database, terms, piece(0, 0), lease_s=None))
    assert (row.sealed, row.upload_lease_until, row.total) == (True, None, 1)


def test_held_chunks_are_released_by_the_seal_under_its_terms(database: Database, terms: Terms) -> None:
    batch_id = open_batch(database, terms, piece(0, 0), hold=True)
    append(database, batch_id, piece(1, 1), hold=True)
    assert [status for status, *_ in chunks(database, batch_id)] == ["held", "held"]
    final = Terms(
        "low", terms.model_id, OperatingPoint(0.7, 0.6, 0.8), 60.0, deadline_s=30.0, on_error="abort"
    )
    assert seal(database, batch_id, final, Notes(2, ())) == uploads.Sealed(released=2, open=2)
    row = batch_row(database, batch_id)
    assert (row.lane, row.threshold, row.review_low, row.review_high) == ("low", 0.7, 0.6, 0.8)
    assert (row.retention_s, row.on_error, row.skipped) == (60.0, "abort", 2)
    assert row.deadline_at is not None and 0 < row.deadline_at - now() <= 30
    with database.read() as connection:
        lanes = connection.scalars(select(Chunk.lane).where(Chunk.batch_id == batch_id)).all()
    assert set(lanes) == {"low"}


def test_held_chunks_are_cut_to_the_size_that_their_lane_wants(database: Database, terms: Terms) -> None:
    batch_id = open_batch(database, terms, piece(0, *range(7)), hold=True)
    append(database, batch_id, piece(1, 7, 8, bad=9), hold=True)
    append(database, batch_id, piece(2, *range(10, 15)), hold=True)
    final = Terms("interactive", terms.model_id, OperatingPoint(0.7, 0.6, 0.8), 60.0)
    assert seal(database, batch_id, final, most_items=3) == uploads.Sealed(released=6, open=14)
    cut = [("queued", 0, 2, 0), ("queued", 3, 5, 0), ("queued", 6, 6, 0)]
    cut += [("queued", 7, 8, 1), ("done", 9, 9, 0), ("queued", 10, 12, 2), ("queued", 13, 14, 2)]
    assert sorted(chunks(database, batch_id), key=lambda chunk: chunk[1]) == cut
    with database.read() as connection:
        line = connection.execute(
            select(Chunk.first_seq)
            .order_by(Chunk.place)
            .where(Chunk.batch_id == batch_id, Chunk.status != ChunkStatus.DONE)
        )
        assert list(line.scalars()) == [0, 3, 6, 7, 10, 13]


def test_a_batch_is_sealed_once(database: Database, terms: Terms) -> None:
    batch_id = open_batch(database, terms, piece(0, 0))
    seal(database, batch_id)
    with pytest.raises(UploadLost):
        seal(database, batch_id)


def lease(database: Database, batch_id: str) -> float:
    with database.read() as connection:
        left = select(Batch.upload_lease_until - clock()).where(Batch.id == batch_id)
        return float(connection.scalar(left) or 0.0)


def test_appending_and_renewing_prolong_the_lease_and_renewing_the_keys_too(
    database: Database, terms: Terms
) -> None:
    batch_id = open_batch(database, terms, piece(0, 0), lease_s=1.0)
    append(database, batch_id, piece(1, 1))
    assert lease(database, batch_id) > 50
    with database.write() as connection:
        assert idempotency.claim(connection, "t", "key", batch_id, lease_s=1.0) is None
        uploads.renew(connection, batch_id, 600.0)
    assert lease(database, batch_id) > 500
    with database.read() as connection:
        assert connection.scalar(select(Submission.lease_until - clock())) > 500  # type: ignore[operator]


def test_a_sealed_batch_gets_no_lease_again(database: Database, terms: Terms) -> None:
    batch_id = open_batch(database, terms, piece(0, 0), lease_s=None)
    with database.write() as connection:
        uploads.renew(connection, batch_id, 60.0)
    assert batch_row(database, batch_id).upload_lease_until is None


def test_abandoning_removes_an_open_upload_and_spares_a_sealed_batch(
    app: Application, database: Database, terms: Terms
) -> None:
    lost, kept = (
        open_batch(database, terms, piece(0, 0)),
        open_batch(database, terms, piece(0, 0), lease_s=None),
    )
    for batch_id in (lost, kept):
        uploads.abandon(database, app.service.blobs, batch_id)
    with database.read() as connection:
        assert connection.scalars(select(Batch.id)).all() == [kept]
        assert connection.scalar(select(func.count()).select_from(Item)) == 1


def test_a_key_is_taken_over_only_after_its_lease_and_never_once_it_is_finished(database: Database) -> None:
    first, second, third = (new_id("bat") for _ in range(3))

    def claim(batch_id: str) -> idempotency.First | None:
        with database.write() as connection:
            return idempotency.claim(connection, "t", "key", batch_id, lease_s=60.0)

    def finish(batch_id: str) -> bool:
        with database.write() as connection:
            return idempotency.finish(connection, "t", "key", batch_id, "f" * 64)

    assert claim(first) is None
    assert claim(second) == idempotency.First(first, None)
    with database.write() as connection:
        connection.execute(update(Submission).values(lease_until=1.0))
    assert claim(second) is None
    assert (finish(first), finish(second)) == (False, True)
    with database.write() as connection:
        connection.execute(update(Submission).values(lease_until=1.0))
        idempotency.drop(connection, "t", "key", second)
    assert claim(third) == idempotency.First(second, "f" * 64)
    with database.read() as connection:
        assert idempotency.is_finished(connection, "t", "key")
        assert not idempotency.is_finished(connection, "other", "key")
