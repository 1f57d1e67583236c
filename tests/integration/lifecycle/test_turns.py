"""A lane is shared between tenants, and a tenant's part between its batches, whatever their sizes."""

import time
from collections import Counter

import pytest
from sqlalchemy import insert, literal, select, update

from shared.clock import now
from shared.lifecycle import turns
from shared.store.engine import Database
from shared.store.tables import Batch, Chunk
from tests.harness.rows import LANE, claim, claim_all, hand_back, make_batch, must_claim


def claimed(database: Database, number: int) -> list[tuple[str, str, int]]:
    """(tenant, batch, items) of the next claims, in their order."""
    with database.read() as connection:
        owners = {row.id: row.tenant for row in connection.execute(select(Batch.id, Batch.tenant))}
    held = [must_claim(database, f"t{place}") for place in range(number)]
    return [(owners[one.batch_id], one.batch_id, len(one.items)) for one in held]


def test_a_tenant_with_a_long_line_gets_half_of_the_items_once_another_comes(
    database: Database, model_id: str
) -> None:
    make_batch(database, model_id, items=60, per_chunk=4, tenant="flood")
    claimed(database, 5)
    make_batch(database, model_id, items=20, per_chunk=2, tenant="other")
    items: Counter[str] = Counter()
    for tenant, _, number in claimed(database, 15):
        items[tenant] += number
        assert abs(items["flood"] - items["other"]) <= 4, items
    assert items == {"flood": 20, "other": 20}


def test_a_single_image_is_next_however_long_the_line_of_another_tenant(
    database: Database, model_id: str
) -> None:
    make_batch(database, model_id, items=100, per_chunk=4, tenant="flood")
    for _ in range(3):
        claimed(database, 2)
        single = make_batch(database, model_id, items=1, tenant="other")
        assert claimed(database, 1) == [("other", single, 1)]


def test_a_small_batch_does_not_wait_for_a_large_one_of_the_same_tenant(
    database: Database, model_id: str
) -> None:
    large = make_batch(database, model_id, items=100, per_chunk=4)
    claimed(database, 3)
    small = make_batch(database, model_id, items=10, per_chunk=4)
    served = [batch for _, batch, _ in claimed(database, 7)]
    assert served.count(small) == 3, "it takes turns with the large one"
    assert 2 <= served.count(large) <= 4


def test_large_batches_of_a_tenant_take_turns_by_items(database: Database, model_id: str) -> None:
    first = make_batch(database, model_id, items=40, per_chunk=4)
    second = make_batch(database, model_id, items=40, per_chunk=2)
    items: Counter[str] = Counter()
    for _, batch, number in claimed(database, 18):
        items[batch] += number
    assert abs(items[first] - items[second]) <= 6, "a chunk of each"


def test_a_stream_of_small_batches_does_not_hold_up_a_large_one_of_the_tenant(
    database: Database, model_id: str
) -> None:
    large = make_batch(database, model_id, items=12, per_chunk=4)
    served = []
    for _ in range(24):
        make_batch(database, model_id, items=1)
        served += [batch for _, batch, _ in claimed(database, 1)]
    assert served.count(large) == 3


def test_a_tenant_that_was_idle_brings_no_credit(database: Database, model_id: str) -> None:
    make_batch(database, model_id, items=4, per_chunk=4, tenant="idle")
    make_batch(database, model_id, items=80, per_chunk=4, tenant="busy")
    claimed(database, 11)  # the idle tenant has had one turn, the busy one ten
    make_batch(database, model_id, items=40, per_chunk=4, tenant="idle")
    tenants = [tenant for tenant, *_ in claimed(database, 8)]
    assert tenants[0] == "idle"
    assert tenants.count("idle") == 4, tenants


def test_the_lanes_of_a_tenant_are_counted_apart(database: Database, model_id: str) -> None:
    make_batch(database, model_id, items=40, per_chunk=4, tenant="a")
    make_batch(database, model_id, items=8, per_chunk=4, tenant="b")
    with database.write() as connection:
        connection.execute(update(Chunk).where(Chunk.tenant == "a").values(lane="low"))
    claimed(database, 2)
    make_batch(database, model_id, items=8, per_chunk=4, tenant="a")
    assert [tenant for tenant, *_ in claimed(database, 2)] == ["a", "a"], "b has been served, a has not"


def test_chunks_that_wait_after_a_hand_back_hold_up_no_other_tenant(
    database: Database, model_id: str
) -> None:
    make_batch(database, model_id, items=8, per_chunk=4, tenant="a")
    for _ in range(2):
        assert hand_back(database, must_claim(database), wait_s=60)
    other = make_batch(database, model_id, items=4, tenant="b")
    assert must_claim(database).batch_id == other
    assert claim(database) is None


def test_a_released_batch_joins_the_line_at_its_head(database: Database, model_id: str) -> None:
    large = make_batch(database, model_id, items=200, per_chunk=4)
    claimed(database, 10)
    held = make_batch(database, model_id, items=8, per_chunk=4)
    release = (
        update(Chunk)
        .where(Chunk.batch_id == held)
        .values(status="queued", lane=LANE, place=turns.place_at_release())
    )
    with database.write() as connection:
        connection.execute(update(Chunk).where(Chunk.batch_id == held).values(status="held", place=0))
        connection.execute(release, {"in_batch": held})
    served = [batch for _, batch, _ in claimed(database, 5)]
    assert served.count(held) == 2
    assert served.count(large) == 3


@pytest.mark.pace
def test_a_claim_costs_the_same_among_a_hundred_thousand_chunks(database: Database, model_id: str) -> None:
    def median_ms() -> float:
        times = []
        for place in range(30):
            started = time.perf_counter()
            must_claim(database, f"c{place}")
            times.append(1000 * (time.perf_counter() - started))
        return sorted(times)[len(times) // 2]

    make_batch(database, model_id, items=200, per_chunk=1)
    few = median_ms()
    batches = [make_batch(database, model_id, items=1, tenant=f"tenant {number}") for number in range(20)]
    row = {
        "first_seq": 0, "last_seq": 0, "pack": 0, "lane": LANE, "status": "queued", "attempts": 0,
        "enqueued_at": now(),
    }  # fmt: skip
    places = select(literal(2).label("place")).cte("places", recursive=True)
    places = places.union_all(select(places.c.place + 1).where(places.c.place < 5001))
    with database.write() as connection:
        for number, batch_id in enumerate(batches):
            made = {**row, "batch_id": batch_id, "tenant": f"tenant {number}"}
            values = select(places.c.place, *map(literal, made.values()))
            connection.execute(insert(Chunk).from_select(["place", *made], values))
    many = median_ms()
    print(f"{few:.2f} ms among 200 chunks, {many:.2f} ms among 100,000 of 21 tenants")
    assert many < 3 * few + 3, f"{few:.2f} ms among 200 chunks, {many:.2f} ms among 100,000"


@pytest.mark.parametrize("items", [60, 1])
def test_filling_a_micro_batch_costs_little_among_chunks_that_have_just_come(
    database: Database, model_id: str, items: int
) -> None:
    """PostgreSQL knows nothing of them: it has not analyzed the table since."""
    large = make_batch(database, model_id, items=1, tenant="flood")
    rows = [
        {
            "batch_id": large, "first_seq": items * place, "last_seq": items * (place + 1) - 1, "pack": 0, "lane": LANE,
            "status": "queued", "attempts": 0, "tenant": "flood", "place": items * (place + 1), "enqueued_at": now(),
        }
        for place in range(1, 1500)
    ]  # fmt: skip
    with database.write() as connection:
        connection.execute(insert(Chunk), rows)
    claim_all(database, micro_batch=1)  # the flood has had a turn
    make_batch(database, model_id, items=1, tenant="other")
    started = time.perf_counter()
    held = claim_all(database, micro_batch=32)
    took = time.perf_counter() - started
    assert len(held) == (1 if items > 31 else 32)
    assert took < 1, f"{took:.2f} s"
