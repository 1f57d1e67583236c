"""Small chunks that wait are claimed together, fill one micro-batch, and stay as separate as if each were alone."""

import threading
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import event, select, update

from shared.lifecycle import claims, endings, verdicts
from shared.lifecycle.claims import Claim
from shared.lifecycle.verdicts import Result
from shared.registry.artifact import read_artifact
from shared.registry.versions import register
from shared.store.tables import Batch, BatchEvent, Chunk, Item
from tests.harness.application import Application
from tests.harness.artifacts import write_untrained
from tests.harness.processes import until

LANES = ("normal", "low")


@pytest.fixture(autouse=True)
def empty_queue(app: Application) -> Iterator[None]:
    app.runtime.broker.client.flushall()
    yield
    with app.database.write() as connection:
        for table in (BatchEvent, Chunk, Item, Batch):
            connection.execute(table.__table__.delete())  # type: ignore[attr-defined]


@pytest.fixture
def submit(app: Application, images: dict[str, bytes]) -> Any:
    """Submit a batch of so many images and return its id."""

    def of(size: int, **options: Any) -> str:
        return str(app.submit(dict(list(images.items())[:size]), options)["id"])

    return of


def claim(app: Application, micro_batch: int, token: str = "mine", lanes: Any = LANES) -> list[Claim]:
    with app.database.write() as connection:
        return claims.claim(
            connection, lanes=lanes, micro_batch=micro_batch, token=token, host="h", pid=1, lease_s=60
        )


def results(held: Claim) -> list[Result]:
    return [Result(item.seq, verdict="defect", score=0.9) for item in held.items]


def record(app: Application, held: list[Claim]) -> tuple[list[verdicts.Recorded], list[Claim]]:
    done = [(claim, results(claim)) for claim in held]
    with app.database.write() as connection:
        return verdicts.record(connection, done, model_sha256="f" * 64)


def counts(app: Application, batch_id: str) -> tuple[int, int, int]:
    """Queued, processing, succeeded."""
    found = app.get(f"/v1/batches/{batch_id}")["counts"]
    return found["queued"], found["processing"], found["succeeded"]


def test_what_waits_fills_the_micro_batch_across_batches_and_lanes(app: Application, submit: Any) -> None:
    low = submit(1, priority="low")
    first, second, third = (
        submit(2),
        submit(1, operating_point={"threshold": 0.7, "review_band": [0.7, 0.7]}),
        submit(1),
    )
    held = claim(app, micro_batch=8)
    assert [(one.batch_id, len(one.items), one.lane) for one in held] == [
        (first, 2, "normal"), (second, 1, "normal"), (third, 1, "normal"), (low, 1, "low"),
    ]  # fmt: skip
    assert held[1].threshold == 0.7 != held[0].threshold
    assert all(counts(app, batch_id)[0] == 0 for batch_id in (first, second, third, low))


def test_a_lane_that_the_worker_does_not_serve_is_left_alone(app: Application, submit: Any) -> None:
    submit(1, priority="low")
    assert [one.batch_id for one in claim(app, 8, lanes=["normal"])] == []
    here = submit(1)
    assert [one.batch_id for one in claim(app, 8, lanes=["normal"])] == [here]


def test_no_more_is_claimed_than_the_micro_batch_has_room_for(app: Application, submit: Any) -> None:
    batches = [submit(size) for size in (3, 2, 4, 1, 1)]
    assert [one.batch_id for one in claim(app, micro_batch=4)] == [batches[0], batches[3]]
    # The single image is next, since a tenant's batches take turns by items; the oldest that fits fills its room.
    assert [one.batch_id for one in claim(app, micro_batch=4)] == [batches[4], batches[1]]
    assert [one.batch_id for one in claim(app, micro_batch=4)] == [batches[2]]
    assert claim(app, micro_batch=4) == []


def test_only_chunks_that_need_the_same_model_are_claimed_together(
    app: Application, submit: Any, tmp_path: Path
) -> None:
    artifact = read_artifact(write_untrained(tmp_path / "other.gonogo", seed=1))
    other = register(app.database, app.service.blobs, artifact)
    first, apart, second = submit(1), submit(1, model=other), submit(1)
    assert [one.batch_id for one in claim(app, 8)] == [first, second]
    assert [(one.batch_id, one.model_id) for one in claim(app, 8)] == [(apart, other)]


def test_a_chunk_that_has_ended_a_lease_is_worked_on_alone(app: Application, submit: Any) -> None:
    batches = [submit(1) for _ in range(4)]
    with app.database.write() as connection:
        connection.execute(update(Chunk).where(Chunk.batch_id == batches[1]).values(attempts=1))
    assert [one.batch_id for one in claim(app, 8)] == [batches[0], *batches[2:]]
    late = submit(1)
    assert [one.batch_id for one in claim(app, 8)] == [batches[1]]
    assert [one.batch_id for one in claim(app, 8)] == [late]


def test_of_chunks_recorded_together_only_the_one_that_was_taken_over_is_not_written(
    app: Application, submit: Any
) -> None:
    kept, lost = submit(1), submit(1)
    held = claim(app, 8)
    with app.database.write() as connection:
        connection.execute(update(Chunk).where(Chunk.batch_id == lost).values(token="another's"))
    recorded, not_ours = record(app, held)
    assert [batch.batch_id for batch in recorded] == [kept]
    assert [one.batch_id for one in not_ours] == [lost]
    assert (counts(app, kept), counts(app, lost)) == ((0, 0, 1), (0, 1, 0))


def test_rows_are_locked_by_kind_and_batches_by_id(app: Application, submit: Any) -> None:
    """So that two transactions with chunks of the same batches never wait for each other."""
    batches = [submit(1) for _ in range(3)]
    with app.database.write() as connection:
        connection.execute(update(Chunk).where(Chunk.batch_id == batches[1]).values(id=Chunk.id + 1000))
    locked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.endswith("FOR UPDATE SKIP LOCKED"):
            locked.append(statement.partition("FROM ")[2].split()[0])
        elif (at := statement.find("UPDATE ")) >= 0:
            named = parameters.values() if isinstance(parameters, dict) else parameters
            table = statement[at:].split()[1]
            locked.append(next((one for one in batches if one in named), "") if table == "batches" else table)

    event.listen(app.database.engine, "before_cursor_execute", note)
    try:
        held = claim(app, 8)
        assert [one.batch_id for one in held] == [batches[0], batches[2], batches[1]]
        assert [table for table, _ in groupby(locked)] == ["chunks", "items", *batches]
        locked.clear()
        record(app, held)
        assert [table for table, _ in groupby(locked)] == ["chunks", "items", *batches]
    finally:
        event.remove(app.database.engine, "before_cursor_execute", note)


def test_many_workers_with_chunks_of_the_same_batches_do_not_wait_for_each_other_for_ever(
    app: Application, submit: Any
) -> None:
    """Each holds chunks of both batches, in either order: were rows locked as they come, PostgreSQL would end one."""
    batches = [submit(1), submit(1)]
    with app.database.write() as connection:
        rows = {
            batch_id: connection.execute(select(Item.__table__).where(Item.batch_id == batch_id)).one()
            for batch_id in batches
        }
        chunk = connection.execute(select(Chunk.__table__).where(Chunk.batch_id == batches[0])).one()
        many = [(batches[(seq + seq // 2) % 2], seq) for seq in range(1, 121)]
        connection.execute(
            Item.__table__.insert(),  # type: ignore[attr-defined]
            [{**rows[batch_id]._mapping, "seq": seq} for batch_id, seq in many],
        )
        connection.execute(
            Chunk.__table__.insert(),  # type: ignore[attr-defined]
            [
                {
                    **chunk._mapping,
                    "id": chunk.id + 1000 + seq,
                    "batch_id": batch_id,
                    "first_seq": seq,
                    "last_seq": seq,
                }
                for batch_id, seq in many
            ],
        )
        for batch_id in batches:
            mine = sum(owner == batch_id for owner, _ in many)
            connection.execute(
                update(Batch)
                .where(Batch.id == batch_id)
                .values(total=Batch.total + mine, queued=Batch.queued + mine)
            )
    start, errors = threading.Barrier(4), []

    def work(token: str) -> None:
        start.wait(30)
        try:
            while held := claim(app, micro_batch=3, token=token):
                record(app, held)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    for batch_id in batches:
        with app.database.write() as connection:
            assert endings.complete(connection, batch_id) is not None
    assert sum(counts(app, batch_id)[2] for batch_id in batches) == 122


def test_one_forward_pass_and_one_message_serve_what_waits(
    app: Application, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.finished({"warm.jpg": b"no image"})
    engine, passes = app.runtime.models.get(app.model_id).engine, []
    plain = engine.predict_with_features

    def predict(images: NDArray[np.uint8]) -> Any:
        passes.append(len(images))
        return plain(images)

    monkeypatch.setattr(engine, "predict_with_features", predict)
    batches = [submit(1) for _ in range(6)]
    until(
        lambda: app.runtime.broker.length("normal") == 7, 10, "a message a chunk, and one of the first batch"
    )
    app.work()
    assert passes == [6]
    assert app.runtime.broker.length("normal") == 2, "the message of the oldest chunk is Celery's to take"
    assert [app.get(f"/v1/batches/{batch_id}")["status"] for batch_id in batches] == ["completed"] * 6


def test_a_pack_that_is_missing_costs_the_chunks_beside_it_nothing(app: Application, submit: Any) -> None:
    first, gone, last = submit(1), submit(1), submit(1)
    app.service.blobs.pack_path(gone, 0).unlink()
    app.work()
    assert [counts(app, batch_id) for batch_id in (first, gone, last)] == [(0, 0, 1), (0, 1, 0), (0, 0, 1)]
