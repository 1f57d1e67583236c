"""The review queue, and opinions, on both databases."""

import threading
from typing import Any

import pytest
from sqlalchemy import select

from shared.contract.reviews import BAND, GUARD, PASSED, REFUSED
from shared.contract.states import Reason
from shared.lifecycle import parts, purging, review_queue, reviews, sampling, verdicts
from shared.lifecycle.review_queue import Wanted
from shared.lifecycle.reviews import ClaimedByOther, NotReviewable, Reviewer
from shared.lifecycle.shares import Shares
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database
from shared.store.review_records import EntryRecord
from shared.store.tables import Batch, Item, Opinion, Part, ReviewEntry
from tests.harness.rows import make_batch, must_claim

NONE = Shares(0.0, 0.0, 0.0)
ANNA, BERT, CARA = (Reviewer(f"key_{name}", name) for name in ("anna", "bert", "cara"))


def judged(database: Database, model_id: str, given: list[str], **changed: Any) -> str:
    """A batch whose items have these verdicts; `guard` is a review for the guard's sake."""
    batch_id = make_batch(database, model_id, len(given), max(1, len(given)), **changed)
    record(database, given)
    return batch_id


def record(database: Database, given: list[str]) -> None:
    held = must_claim(database)
    results = [
        Result(
            item.seq,
            "review" if word == "guard" else word,
            0.5,
            reasons=(Reason.UNFAMILIAR,) if word == "guard" else (),
        )
        for item, word in zip(held.items, given, strict=True)
    ]
    with database.write() as connection:
        verdicts.record(connection, [(held, results)], model_sha256="f" * 64)
        connection.execute(
            Batch.__table__.update()  # type: ignore[attr-defined]
            .where(Batch.id == held.batch_id, Batch.queued + Batch.processing == 0)
            .values(status="completed", finished_at=1.0)
        )


def fill(database: Database, shares: Shares = NONE, tenant: str = "t") -> int:
    """Make the queue as long as it can be now; returns how many entries are new."""
    before = len(entries(database))
    with database.write() as connection:
        for batch in review_queue.unmade(connection, tenant, Wanted()):
            review_queue.fill(connection, batch, review_queue.reach(connection, batch), shares)
    return len(entries(database)) - before


def claim(database: Database, who: Reviewer = ANNA, holder: str = "a", **wanted: Any) -> EntryRecord | None:
    with database.write() as connection:
        return review_queue.claim(
            connection, "t", Wanted(**wanted), key_id=who.key_id, holder=holder, lease_s=60
        )


def give(
    database: Database, batch_id: str, seq: int, who: Reviewer, verdict: str, note: str | None = None,
    shares: Shares = NONE,
) -> reviews.Change | None:  # fmt: skip
    with database.write() as connection:
        return reviews.give(connection, "t", (batch_id, seq), who, verdict, note, shares)


def take_back(database: Database, batch_id: str, seq: int, who: Reviewer) -> reviews.Change | None:
    with database.write() as connection:
        return reviews.take_back(connection, "t", (batch_id, seq), who, 60)


def entries(database: Database) -> dict[int, EntryRecord]:
    with database.read() as connection:
        rows = connection.execute(select(ReviewEntry.__table__).order_by(ReviewEntry.seq))
        return {row.seq: EntryRecord._make(row) for row in rows}


def final(database: Database, batch_id: str, seq: int) -> Any:
    with database.read() as connection:
        return reviews.of(connection, [(batch_id, seq)]).get((batch_id, seq))


def test_the_queue_holds_the_band_the_guard_and_a_sample_of_the_others(
    database: Database, model_id: str
) -> None:
    batch_id = judged(database, model_id, ["review", "guard", *["no_defect"] * 100, *["defect"] * 50])
    shares = Shares(0.2, 0.3, 0.0)
    passed = [seq for seq in range(2, 102) if sampling.is_sampled(batch_id, seq, 0.2)]
    refused = [seq for seq in range(102, 152) if sampling.is_sampled(batch_id, seq, 0.3)]
    assert fill(database, shares) == 2 + len(passed) + len(refused)
    found = entries(database)
    assert {seq for seq, row in found.items() if row.source == PASSED} == {*passed}
    assert {seq for seq, row in found.items() if row.source == REFUSED} == {*refused}
    assert (found[0].source, found[1].source) == (BAND, GUARD)
    assert {row.share for row in found.values()} == {0.2, 0.3, 1.0}
    assert fill(database, shares) == 0
    with database.read() as connection:
        assert review_queue.unmade(connection, "t", Wanted()) == []


def test_a_running_batch_is_queued_up_to_its_first_open_item(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, 6, 2)
    held = must_claim(database, "slow")
    record(database, ["review", "review"])
    assert fill(database) == 0, "the first chunk is still open"
    with database.write() as connection:
        done = [(held, [Result(item.seq, "review", 0.5) for item in held.items])]
        verdicts.record(connection, done, model_sha256="f" * 64)
    assert fill(database) == 4
    record(database, ["no_defect", "review"])
    assert fill(database) == 1
    assert {*entries(database)} == {0, 1, 2, 3, 5}
    assert batch_id


def test_two_persons_never_get_one_item_and_a_lease_that_ended_gives_it_on(
    database: Database, model_id: str
) -> None:
    judged(database, model_id, ["review"] * 40)
    fill(database)
    taken: list[int] = []
    gate = threading.Barrier(4)

    def work(number: int) -> None:
        gate.wait(30)
        while (entry := claim(database, ANNA, f"holder-{number}")) is not None:
            taken.append(entry.seq)
            with database.write() as connection:  # this connection holds the next entry meanwhile
                connection.execute(
                    ReviewEntry.__table__.update()  # type: ignore[attr-defined]
                    .where(ReviewEntry.seq == entry.seq)
                    .values(holder=f"{entry.seq}")
                )

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(taken) == list(range(40))
    assert claim(database) is None
    with database.write() as connection:
        connection.execute(
            ReviewEntry.__table__.update().where(ReviewEntry.seq == 7).values(lease_until=1.0)  # type: ignore[attr-defined]
        )
    again = claim(database, BERT, "b")
    assert again is not None and again.seq == 7


def test_the_holder_alone_reviews_while_its_lease_runs(database: Database, model_id: str) -> None:
    batch_id = judged(database, model_id, ["review", "review"])
    fill(database)
    entry = claim(database, ANNA, "a")
    assert entry is not None
    with pytest.raises(ClaimedByOther):
        give(database, batch_id, entry.seq, BERT, "defect")
    change = give(database, batch_id, entry.seq, ANNA._replace(holder="a"), "defect", "a crack")
    assert change is not None and change.changed
    shown = final(database, batch_id, entry.seq)
    assert (shown["verdict"], shown["by"], shown["note"], len(shown["rounds"])) == (
        "defect", "anna", "a crack", 1,
    )  # fmt: skip


def test_a_repeated_opinion_is_noted_once(database: Database, model_id: str) -> None:
    batch_id = judged(database, model_id, ["review"])
    assert give(database, batch_id, 0, ANNA, "defect", "n").changed is True  # type: ignore[union-attr]
    assert give(database, batch_id, 0, ANNA, "defect", "n").changed is False  # type: ignore[union-attr]
    assert len(final(database, batch_id, 0)["rounds"]) == 1


def test_a_later_opinion_goes_before_and_the_history_keeps_both(database: Database, model_id: str) -> None:
    batch_id = judged(database, model_id, ["review"])
    give(database, batch_id, 0, ANNA, "defect")
    give(database, batch_id, 0, BERT, "no_defect", "only dust")
    shown = final(database, batch_id, 0)
    assert (shown["verdict"], shown["by"]) == ("no_defect", "bert")
    assert [each["by"] for each in shown["rounds"]] == ["anna", "bert"]


def test_a_claim_that_ended_overrides_no_review(database: Database, model_id: str) -> None:
    batch_id = judged(database, model_id, ["review"])
    give(database, batch_id, 0, BERT, "no_defect")
    late = ANNA._replace(holder="a", by_claim=True)
    with pytest.raises(ClaimedByOther):
        give(database, batch_id, 0, late, "defect")
    assert give(database, batch_id, 0, late._replace(by_claim=False), "defect") is not None


def test_a_second_opinion_is_another_persons_and_a_third_decides(database: Database, model_id: str) -> None:
    batch_id = judged(database, model_id, ["review"])
    twice = Shares(0.0, 0.0, 1.0)
    fill(database, twice)
    give(database, batch_id, 0, ANNA, "defect", shares=twice)
    assert final(database, batch_id, 0) is None, "the first opinion does not show before the second"
    assert claim(database, ANNA) is None
    with pytest.raises(NotReviewable):
        give(database, batch_id, 0, ANNA, "no_defect", shares=twice)
    second = claim(database, BERT, "b")
    assert second is not None and second.given == 1
    give(database, batch_id, 0, BERT._replace(holder="b"), "no_defect", shares=twice)
    assert final(database, batch_id, 0) is None
    assert claim(database, BERT) is None
    give(database, batch_id, 0, CARA, "no_defect", shares=twice)
    assert final(database, batch_id, 0)["verdict"] == "no_defect"


def test_taking_back_gives_the_item_to_the_same_person_and_stays_in_the_history(
    database: Database, model_id: str
) -> None:
    batch_id = judged(database, model_id, ["review", "no_defect"])
    fill(database)
    give(database, batch_id, 0, ANNA, "defect")
    give(database, batch_id, 1, ANNA, "defect")  # which no person asked for
    mine = ANNA._replace(holder="a")
    assert take_back(database, batch_id, 0, mine).changed is True  # type: ignore[union-attr]
    assert take_back(database, batch_id, 0, mine).changed is False  # type: ignore[union-attr]
    assert final(database, batch_id, 0) is None
    assert claim(database, BERT, "b") is None, "the first person has it again"
    take_back(database, batch_id, 1, mine)
    assert {*entries(database)} == {0}, "an item that was only chosen leaves the queue"
    give(database, batch_id, 0, mine, "no_defect")
    rounds = final(database, batch_id, 0)["rounds"]
    assert [(each["verdict"], each["undone_at"] is None) for each in rounds] == [
        ("defect", False), ("no_defect", True),
    ]  # fmt: skip


def test_an_opinion_of_another_person_is_not_taken_back(database: Database, model_id: str) -> None:
    batch_id = judged(database, model_id, ["review"])
    give(database, batch_id, 0, ANNA, "defect")
    with pytest.raises(NotReviewable):
        take_back(database, batch_id, 0, BERT)
    give(database, batch_id, 0, BERT, "no_defect")
    with pytest.raises(NotReviewable):
        take_back(database, batch_id, 0, ANNA)


def test_a_skipped_item_comes_back_behind_the_others(database: Database, model_id: str) -> None:
    batch_id = judged(database, model_id, ["review"] * 3)
    fill(database)
    first = claim(database)
    assert first is not None
    with database.write() as connection:
        assert not review_queue.put_back(connection, "t", batch_id, first.seq, "another")
        assert review_queue.put_back(connection, "t", batch_id, first.seq, "a")
    order = [row.seq for row in iter(lambda: claim(database), None)]
    assert order[-1] == first.seq
    assert len(order) == 3


def test_an_item_without_a_verdict_and_one_of_another_tenant_are_not_reviewed(
    database: Database, model_id: str
) -> None:
    batch_id = make_batch(database, model_id, 1)
    with pytest.raises(NotReviewable):
        give(database, batch_id, 0, ANNA, "defect")
    with database.write() as connection:
        assert reviews.give(connection, "rival", (batch_id, 0), ANNA, "defect", None, NONE) is None
        assert reviews.take_back(connection, "rival", (batch_id, 0), ANNA, 60) is None


def parts_of(database: Database, batch_id: str) -> dict[str, str]:
    with database.read() as connection:
        rows = connection.execute(select(Part.part_id, Part.verdict).where(Part.batch_id == batch_id))
        return {str(row.part_id): str(row.verdict) for row in rows}


@pytest.mark.parametrize("early", [False, True])
def test_a_part_goes_by_the_persons_verdicts_on_its_views(
    database: Database, model_id: str, early: bool
) -> None:
    """`early`: the review comes while another view of the part is open."""
    batch_id = make_batch(database, model_id, 4, 2)
    with database.write() as connection:
        for seq in range(4):
            connection.execute(
                Item.__table__.update()  # type: ignore[attr-defined]
                .where(Item.batch_id == batch_id, Item.seq == seq)
                .values(part_id=f"p{seq % 2}")
            )
        parts.make(connection, batch_id)
    record(database, ["review", "no_defect"])
    if early:
        give(database, batch_id, 0, ANNA, "no_defect")
    record(database, ["no_defect", "no_defect"])
    if not early:
        assert parts_of(database, batch_id) == {"p0": "review", "p1": "no_defect"}
        give(database, batch_id, 0, ANNA, "no_defect")
    assert parts_of(database, batch_id) == {"p0": "no_defect", "p1": "no_defect"}
    give(database, batch_id, 0, BERT, "defect")
    assert parts_of(database, batch_id) == {"p0": "defect", "p1": "no_defect"}
    take_back(database, batch_id, 0, BERT)
    take_back(database, batch_id, 0, ANNA)
    assert parts_of(database, batch_id) == {"p0": "review", "p1": "no_defect"}
    with database.read() as connection:
        row = connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
    assert (row.defect_parts, row.no_defect_parts, row.review_parts) == (0, 1, 1)


def test_reviews_go_with_their_batch(database: Database, model_id: str) -> None:
    batch_id = judged(database, model_id, ["review"])
    fill(database)
    give(database, batch_id, 0, ANNA, "defect")
    with database.write() as connection:
        assert purging.purge_rows(connection, batch_id)
    with database.read() as connection:
        assert connection.execute(select(Opinion.id)).all() == []
        assert connection.execute(select(ReviewEntry.seq)).all() == []
    assert give(database, batch_id, 0, ANNA, "defect") is None


def test_a_position_is_the_same_in_python_and_in_the_database_and_shares_are_kept(
    database: Database, model_id: str
) -> None:
    batch_id = judged(database, model_id, ["no_defect"] * 300)
    query = select(Item.seq, sampling.position_of_item("audit")).where(Item.batch_id == batch_id)
    with database.read() as connection:
        rows = connection.execute(query, sampling.parameters(batch_id, "audit")).all()
    of = sampling.seed(batch_id)
    assert [(seq, int(found)) for seq, found in rows] == [
        (seq, sampling.position(of, seq)) for seq, _ in rows
    ]
    share = sum(sampling.is_sampled(f"bat_{n}", seq, 0.1) for n in range(100) for seq in range(400)) / 40_000
    assert 0.095 < share < 0.105
