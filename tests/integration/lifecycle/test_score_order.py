"""The order by score of a large batch: each filter is a range of it, at any operating point, on both databases."""

import pytest
from sqlalchemy import delete, select, update

from shared.contract.operating_point import OperatingPoint
from shared.lifecycle import endings, purging, rescoring, score_order, steering, verdicts
from shared.lifecycle.score_order import Place
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database
from shared.store.records import BatchRecord
from shared.store.tables import Item, OrderAsked, ScoreBlock
from tests.harness.rows import must_claim, run
from tests.integration.lifecycle.test_rescoring import OLD, POINTS, ended_batch, record_of, verdicts_of

FILTERS: list[tuple[list[str], list[str]]] = [
    ([], []), ([], ["defect"]), ([], ["review"]), ([], ["no_defect"]), ([], ["defect", "review"]),
    (["succeeded"], []), (["failed"], []), (["failed", "succeeded"], []), (["failed"], ["defect"]), (["cancelled"], []),
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_order, "IN_BLOCK", 5)
    monkeypatch.setattr(score_order, "LARGE", 20)


@pytest.fixture(autouse=True)
def no_order_is_left(database: Database) -> None:
    with database.write() as connection:
        connection.execute(delete(ScoreBlock))
        connection.execute(delete(OrderAsked))


def expected(
    database: Database, batch: BatchRecord, statuses: list[str], wanted: list[str]
) -> list[tuple[float, int]]:
    """The (score, place) of the items with these verdicts, sorted here; the item 0 has failed."""
    rows = [] if statuses and "succeeded" not in statuses else verdicts_of(database, batch.id).items()
    found = [(row[2], seq) for seq, row in rows if not wanted or row[0] in wanted]
    if not wanted and (not statuses or "failed" in statuses):
        found.append((score_order.WITHOUT_SCORE, 0))
    return sorted(found, key=lambda each: (-each[0], each[1]))


def walk(
    database: Database, batch: BatchRecord, statuses: list[str], wanted: list[str], most: int
) -> list[tuple[float, int]]:
    seen: list[Place] = []
    with database.read() as connection:
        while found := score_order.places(
            connection,
            batch,
            score_order.ranges(batch, statuses, wanted),
            seen[-1] if seen else None,
            most,
        ):
            seen += found
    return [(each.score, each.seq) for each in seen]


def test_each_filter_walks_its_items_in_order_at_any_point(database: Database, model_id: str) -> None:
    batch = ended_batch(database, model_id)
    with database.read() as connection:
        assert score_order.asked(connection, 10) == [batch.id], "the end of the batch asks"
    score_order.make(database, batch.id)
    score_order.make(database, batch.id)
    with database.read() as connection:
        assert score_order.asked(connection, 10) == []
        assert score_order.is_made(connection, batch) is True
    for number, point in enumerate([OLD, *POINTS]):
        if number:
            with database.write() as connection:
                batch, _ = rescoring.rescore(connection, batch, point, None)
        for most, (statuses, wanted) in enumerate(FILTERS, 1):
            found = walk(database, batch, statuses, wanted, most)
            assert found == expected(database, batch, statuses, wanted), (point, statuses, wanted)


def test_another_run_needs_another_order_and_a_deleted_batch_has_none(
    database: Database, model_id: str
) -> None:
    batch = ended_batch(database, model_id)
    score_order.make(database, batch.id)
    assert run(database, steering.retry, batch.id) == 1
    assert score_order.make(database, batch.id) is None, "it runs"
    held = must_claim(database)
    with database.write() as connection:
        verdicts.record(connection, [(held, [Result(0, "defect", 0.9)])], model_sha256="0" * 64)
    run(database, endings.complete, batch.id)
    batch = record_of(database, batch.id)
    with database.read() as connection:
        assert score_order.is_made(connection, batch) is None
        assert score_order.asked(connection, 10) == [batch.id]
    score_order.make(database, batch.id)
    assert (0.9, 0) in walk(database, batch, [], ["defect"], 10)
    score_order.ask_once(database, batch.id)
    assert run(database, purging.purge_rows, batch.id)
    with database.read() as connection:
        assert connection.scalars(select(ScoreBlock.number)).all() == []
        assert score_order.asked(connection, 10) == []


def test_a_batch_whose_verdicts_are_not_those_of_its_scores_is_not_sorted(
    database: Database, model_id: str
) -> None:
    batch = ended_batch(database, model_id)
    with database.write() as connection:
        connection.execute(
            update(Item).where(Item.batch_id == batch.id, Item.seq == 9).values(verdict="defect")
        )
    score_order.make(database, batch.id)
    with database.read() as connection:
        assert score_order.is_made(connection, batch) is False
        assert score_order.asked(connection, 10) == []


def test_a_point_that_is_no_band_divides_at_the_threshold() -> None:
    batch = BatchRecord._make([None] * len(BatchRecord._fields))._replace(
        threshold=0.5, review_low=0.5, review_high=0.5
    )
    [defect] = score_order.ranges(batch, [], ["defect"])
    [passed] = score_order.ranges(batch, [], ["no_defect"])
    assert defect.lowest == 0.5 and passed.highest < 0.5
    assert OperatingPoint(0.5, 0.5, 0.5).threshold == defect.lowest
