"""A chunk that a worker hands back costs no attempt, and its batch says why it waits."""

import pytest
from sqlalchemy import select

from shared.clock import now
from shared.lifecycle import blocked, closing, endings
from shared.store.engine import Database, clock
from shared.store.tables import Chunk, Item
from tests.harness.rows import LANE, batch_row, claim, hand_back, make_batch, must_claim, record, run


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
