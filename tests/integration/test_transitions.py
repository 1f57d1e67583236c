"""Every change of state is a compare-and-set: the first wins, everybody else changes nothing. On both databases."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from shared.clock import now
from shared.ids import new_id
from shared.lifecycle import blocked, claims, closing, endings, leases, purging, verdicts
from shared.lifecycle.claims import Claim
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database, clock
from shared.store.migrations import migrate
from shared.store.tables import Batch, Chunk, Delivery, Item, ModelVersion
from tests.harness.databases import empty_database_url

LANE = "normal"
WEBHOOK = {"url": "https://receiver.example", "secret": "whsec_x", "events": None}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database of each kind for the module: a new one for each test would be most of its time."""
    with empty_database_url(request.param, tmp_path_factory.mktemp("database")) as url:
        made = Database(url)
        migrate(made)
        yield made
        made.dispose()


@pytest.fixture
def database(migrated: Database) -> Iterator[Database]:
    """A migrated database without a row."""
    yield migrated
    with migrated.write() as connection:
        for table in (Delivery, Chunk, Item, Batch, ModelVersion):
            connection.execute(delete(table))


@pytest.fixture
def model_id(database: Database) -> str:
    identifier = new_id("mdl")
    with database.write() as connection:
        connection.execute(
            insert(ModelVersion).values(
                id=identifier, name="m", sha256="0" * 64, threshold=0.5, review_low=0.4, review_high=0.6,
                card={}, tenant="*", status="ready", created_at=now(),
            )
        )  # fmt: skip
    return identifier


def make_batch(database: Database, model_id: str, items: int = 4, per_chunk: int = 4, **changed: Any) -> str:
    """A sealed, queued batch of so many items."""
    batch_id = new_id("bat")
    row = {
        "id": batch_id, "tenant": "t", "status": "queued", "origin": "batch", "lane": LANE, "sealed": True,
        "model_id": model_id, "threshold": 0.5, "review_low": 0.4, "review_high": 0.6, "metadata_": {},
        "webhook": None, "on_error": "continue", "created_at": now(), "retention_s": 60.0, "total": items,
        "queued": items, **changed,
    }  # fmt: skip
    with database.write() as connection:
        connection.execute(insert(Batch).values(**row))
        for seq in range(items):
            connection.execute(
                insert(Item).values(
                    batch_id=batch_id, seq=seq, filename=f"{seq}.jpg", pack=0, offset=0, length=1,
                    status="queued", attempts=0, created_at=now(),
                )
            )  # fmt: skip
        for first in range(0, items, per_chunk):
            connection.execute(
                insert(Chunk).values(
                    batch_id=batch_id, first_seq=first, last_seq=min(first + per_chunk, items) - 1, pack=0,
                    lane=LANE, status="queued", attempts=0, enqueued_at=now(),
                )
            )  # fmt: skip
    return batch_id


def claim_all(
    database: Database,
    lanes: Sequence[str] = (LANE,),
    micro_batch: int = 1,
    token: str = "mine",
    lease_s: float = 60,
) -> list[Claim]:
    with database.write() as connection:
        return claims.claim(
            connection, lanes=lanes, micro_batch=micro_batch, token=token, host="h", pid=1, lease_s=lease_s
        )


def claim(database: Database, token: str = "mine", lease_s: float = 60) -> Claim | None:
    """A chunk alone."""
    return next(iter(claim_all(database, token=token, lease_s=lease_s)), None)


def must_claim(database: Database, token: str = "mine", lease_s: float = 60) -> Claim:
    held = claim(database, token, lease_s)
    assert held is not None
    return held


def record(database: Database, held: Claim, **changed: Any) -> verdicts.Recorded | None:
    verdict = {"verdict": "defect", "score": 0.9, **changed}
    results = [Result(item.seq, **verdict) for item in held.items]
    with database.write() as connection:
        recorded, _ = verdicts.record(connection, [(held, results)], model_sha256="f" * 64)
    return recorded[0] if recorded else None


def run(database: Database, change: Callable[..., Any], *args: Any) -> Any:
    with database.write() as connection:
        return change(connection, *args)


def hand_back(database: Database, held: Claim, wait_s: float | None = None) -> bool:
    with database.write() as connection:
        return leases.release(connection, held, "model_refused", "it does not load", wait_s=wait_s)


def batch_row(database: Database, batch_id: str) -> Any:
    """The batch, whose counts must agree with its items."""
    with database.read() as connection:
        row = connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
        statuses = list(connection.scalars(select(Item.status).where(Item.batch_id == batch_id)))
        verdicts = list(connection.scalars(select(Item.verdict).where(Item.batch_id == batch_id)))
    for status in ("queued", "processing", "succeeded", "failed", "cancelled", "expired"):
        assert getattr(row, status) == statuses.count(status), status
    for verdict in ("defect", "no_defect", "review"):
        assert getattr(row, verdict) == verdicts.count(verdict), verdict
    assert row.total == len(statuses)
    return row


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
    assert run(database, leases.expired_leases, 10) == [held.chunk_id]
    assert run(database, leases.renew, held.chunk_id, "mine", 60)
    assert run(database, leases.expired_leases, 10) == []
    assert run(database, leases.return_expired, held.chunk_id, 3) is None
    assert claim(database) is None


def test_a_batch_is_completed_once_and_owes_one_delivery(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, webhook=WEBHOOK)
    assert run(database, endings.complete, batch_id) is None
    record(database, must_claim(database))
    completed = run(database, endings.complete, batch_id)
    assert len(completed.deliveries) == 1
    assert run(database, endings.complete, batch_id) is None
    row = batch_row(database, batch_id)
    assert (row.status, row.outcome) == ("completed", "all_succeeded")
    assert row.retain_until == pytest.approx(row.finished_at + 60, abs=1)
    with database.read() as connection:
        (delivery,) = connection.execute(select(Delivery.__table__)).all()
    body = json.loads(delivery.body)
    assert (delivery.id, delivery.event, delivery.status) == (
        completed.deliveries[0],
        "batch.completed",
        "pending",
    )
    assert body["type"] == "batch.completed"
    assert (body["data"]["id"], body["data"]["counts"]["succeeded"]) == (batch_id, 4)


def test_the_last_two_chunks_recorded_at_once_still_complete_the_batch(
    database: Database, model_id: str
) -> None:
    for _ in range(5):
        batch_id = make_batch(database, model_id, items=2, per_chunk=1, webhook=WEBHOOK)
        helds = [must_claim(database, "a"), must_claim(database, "b")]
        start = threading.Barrier(2)
        won: list[str] = []

        def finish(held: Claim, start: Any = start, won: Any = won, batch_id: str = batch_id) -> None:
            start.wait(30)
            recorded = record(database, held)
            if recorded is not None and recorded.open == 0:
                won.append(run(database, endings.complete, batch_id))

        threads = [threading.Thread(target=finish, args=(held,)) for held in helds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len([completed for completed in won if completed is not None]) == 1
        assert batch_row(database, batch_id).status == "completed"


def test_an_event_that_was_not_asked_for_is_not_owed(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, webhook={**WEBHOOK, "events": ["batch.failed"]})
    record(database, must_claim(database))
    assert run(database, endings.complete, batch_id).deliveries == ()


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        ([{"verdict": "defect", "score": 0.9}, {"error_code": "corrupt_image"}], "partial"),
        ([{"error_code": "corrupt_image"}, {"error_code": "corrupt_image"}], "all_failed"),
    ],
)
def test_a_completed_batch_may_hold_failed_items(
    database: Database, model_id: str, results: list[dict[str, Any]], outcome: str
) -> None:
    batch_id = make_batch(database, model_id, items=2)
    held = must_claim(database)
    with database.write() as connection:
        made = [Result(item.seq, **result) for item, result in zip(held.items, results, strict=True)]
        verdicts.record(connection, [(held, made)], model_sha256="f" * 64)
    run(database, endings.complete, batch_id)
    row = batch_row(database, batch_id)
    assert (row.status, row.outcome) == ("completed", outcome)


def test_a_record_that_lacks_an_item_is_refused_whole(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    held = must_claim(database)
    with pytest.raises(AssertionError), database.write() as connection:
        some = [Result(item.seq, verdict="defect", score=0.9) for item in held.items[:3]]
        verdicts.record(connection, [(held, some)], model_sha256="f" * 64)
    assert batch_row(database, batch_id).processing == 4
    assert record(database, held) is not None


def test_cancel_closes_what_has_not_begun_and_keeps_what_has(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2, webhook=WEBHOOK)
    held = must_claim(database)
    assert run(database, closing.cancel, batch_id)
    assert not run(database, closing.cancel, batch_id)
    assert run(database, endings.complete, batch_id) is None
    assert claim(database) is None
    record(database, held)
    assert run(database, endings.complete, batch_id).deliveries
    row = batch_row(database, batch_id)
    assert (row.status, row.outcome, row.succeeded, row.cancelled) == ("cancelled", "partial", 2, 2)
    with database.read() as connection:
        assert connection.scalar(select(Delivery.event)) == "batch.cancelled"


def test_what_has_ended_cannot_be_cancelled_or_expired(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, deadline_at=now() - 1)
    record(database, must_claim(database))
    run(database, endings.complete, batch_id)
    assert not run(database, closing.cancel, batch_id)
    assert not run(database, closing.expire, batch_id)
    row = batch_row(database, batch_id)
    assert (row.status, row.cancelled, row.expired) == ("completed", 0, 0)


def test_a_deadline_closes_what_has_not_begun(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2, deadline_at=now() - 1)
    held = must_claim(database)
    assert run(database, closing.expire, batch_id)
    assert not run(database, closing.expire, batch_id)
    record(database, held)
    run(database, endings.complete, batch_id)
    row = batch_row(database, batch_id)
    assert (row.status, row.succeeded, row.expired) == ("expired", 2, 2)


def test_a_deadline_that_is_not_over_closes_nothing(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, deadline_at=now() + 600)
    assert not run(database, closing.expire, batch_id)
    assert batch_row(database, batch_id).queued == 4


def test_a_chunk_handed_back_costs_no_attempt(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    assert hand_back(database, must_claim(database, "first"), 0.0)
    assert batch_row(database, batch_id).queued == 4
    held = must_claim(database, "second")
    assert held.attempt == 1
    with database.read() as connection:
        assert set(connection.scalars(select(Item.attempts))) == {1}


def test_a_chunk_handed_back_lets_others_go_first(database: Database, model_id: str) -> None:
    make_batch(database, model_id)
    make_batch(database, model_id)
    back = must_claim(database, "first")
    assert hand_back(database, back, 60.0)
    assert must_claim(database, "second").chunk_id > back.chunk_id


def test_a_chunk_handed_back_does_not_keep_the_others_of_its_lane_waiting(
    database: Database, model_id: str
) -> None:
    make_batch(database, model_id, items=2, per_chunk=1)
    assert hand_back(database, must_claim(database, "first"), 600.0)
    assert [item.seq for item in must_claim(database, "second").items] == [1]
    assert claim(database) is None


def test_a_batch_says_why_once_its_chunk_has_come_back_a_few_times(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    for hand_backs in range(blocked.TOLD_AFTER):
        assert batch_row(database, batch_id).blocked is None
        held = must_claim(database, f"t{hand_backs}")
        assert held.hand_backs == hand_backs
        assert hand_back(database, held, 0.0)
    told = batch_row(database, batch_id).blocked
    assert (told["code"], told["detail"]) == ("model_refused", "it does not load")
    with database.read() as connection:
        assert blocked.by_code(connection) == {"model_refused": 1}
        assert blocked.blocked(connection, 10) == [batch_id]
    record(database, must_claim(database, "at last"))
    assert batch_row(database, batch_id).blocked is None


def test_each_hand_back_waits_longer_up_to_a_bound(database: Database, model_id: str) -> None:
    make_batch(database, model_id)
    held = must_claim(database, "first")
    assert hand_back(database, held)
    with database.read() as connection:
        wait = connection.scalar(select(Chunk.lease_until - clock()).where(Chunk.id == held.chunk_id))
    assert wait == pytest.approx(5.0, abs=2.0)
    waits = [blocked.wait_s(number) for number in range(20)]
    assert waits == sorted(waits)
    assert waits[:3] == [5.0, 10.0, 20.0]
    assert waits[-1] == 300.0


def test_a_batch_whose_lane_has_no_worker_says_so_until_one_serves_it(
    database: Database, model_id: str
) -> None:
    batch_id = make_batch(database, model_id, created_at=now() - 100)
    with database.write() as connection:
        assert blocked.unserved(connection, {LANE}, 60.0, 10) == []
        assert blocked.unserved(connection, {"low"}, 1000.0, 10) == []
        assert blocked.unserved(connection, {"low"}, 60.0, 10) == [batch_id]
        blocked.block(connection, batch_id, blocked.NO_WORKER, "no worker")
        blocked.block(connection, batch_id, "model_refused", "the first reason stands")
        assert blocked.unserved(connection, {"low"}, 60.0, 10) == []
        assert blocked.served_again(connection, {"low"}, 10) == []
        assert blocked.served_again(connection, {LANE}, 10) == [batch_id]
        blocked.unblock(connection, batch_id, "model_refused")
        assert blocked.by_code(connection) == {blocked.NO_WORKER: 1}
        blocked.unblock(connection, batch_id, blocked.NO_WORKER)
        assert blocked.by_code(connection) == {}


def test_a_batch_that_ends_is_no_longer_blocked(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id)
    with database.write() as connection:
        blocked.block(connection, batch_id, "model_refused", "it does not load")
    assert run(database, closing.cancel, batch_id)
    assert run(database, endings.complete, batch_id) is not None
    assert batch_row(database, batch_id).blocked is None


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
    assert run(database, leases.expired_leases, 10) == []
    run(database, leases.end_lease, held.chunk_id, "mine", until)
    assert run(database, leases.expired_leases, 10) == [held.chunk_id]


def test_only_what_has_ended_is_purged(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, webhook=WEBHOOK)
    assert not run(database, purging.purge_rows, batch_id)
    assert batch_row(database, batch_id).total == 4
    record(database, must_claim(database))
    run(database, endings.complete, batch_id)
    assert run(database, purging.purge_rows, batch_id)
    with database.read() as connection:
        for table in (Batch, Chunk, Item, Delivery):
            assert connection.execute(select(table.__table__)).all() == []


def test_each_change_is_a_new_version_so_that_polls_see_it(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2)
    versions = [batch_row(database, batch_id).version]
    held = must_claim(database)
    versions.append(batch_row(database, batch_id).version)
    record(database, held)
    versions.append(batch_row(database, batch_id).version)
    run(database, closing.cancel, batch_id)
    versions.append(batch_row(database, batch_id).version)
    run(database, endings.complete, batch_id)
    versions.append(batch_row(database, batch_id).version)
    assert sorted(set(versions)) == versions
