"""A rescoring changes the verdicts that another operating point changes, and counts them once, on both databases."""

import itertools
import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, update

from shared.contract.operating_point import OperatingPoint
from shared.contract.scores import BINS
from shared.contract.states import Reason
from shared.lifecycle import (
    endings,
    judged_parts,
    parts,
    purging,
    rescoring,
    review_queue,
    reviews,
    score_bins,
    steering,
    verdicts,
)
from shared.lifecycle import judged as shown
from shared.lifecycle.recount import recount
from shared.lifecycle.rescoring import Overtaken
from shared.lifecycle.review_queue import Wanted
from shared.lifecycle.reviews import Reviewer
from shared.lifecycle.shares import Shares
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database
from shared.store.records import BatchRecord, ItemRecord, PartRecord
from shared.store.tables import Batch, BatchEvent, Delivery, Item, ModelVersion, Part, ReviewEntry
from shared.vision.decision import decide, reasons_for
from tests.harness.part_faults import part_faults
from tests.harness.plans import statements
from tests.harness.rows import batch_row, make_batch, must_claim, run

OLD = OperatingPoint(0.5, 0.4, 0.6)
POINTS = [
    OperatingPoint(0.5, 0.5, 0.5),
    OperatingPoint(0.0, 0.0, 0.0),
    OperatingPoint(1.0, 1.0, 1.0),
    OperatingPoint(0.5, 0.0, 1.0),
    OperatingPoint(0.7, 0.45, 0.7),
    OperatingPoint(0.41, 0.4, 0.6),
]
SCORES = [0.0, 0.1, 0.39999, 0.4, 0.45, 0.5, 0.55, 0.6, 0.600001, 0.7, 0.99, 1.0]
GUARDS: list[tuple[Reason, ...]] = [
    (),
    (Reason.UNFAMILIAR,),
    (Reason.BLANK,),
    (Reason.BLANK, Reason.UNFAMILIAR),
]


def judged(score: float, guard: tuple[Reason, ...], point: OperatingPoint = OLD) -> tuple[str, str | None]:
    """Verdict and reasons as a worker writes them."""
    reasons = reasons_for(score, point, guard)
    return decide(score, point, guard).value, ",".join(reasons) or None


def ended_batch(database: Database, model_id: str, count_of_parts: int = 0, **changed: Any) -> BatchRecord:
    """A batch with an image for each score and each finding of the guard, the first of which failed."""
    cases = [(0.2, ()), *itertools.product(SCORES, GUARDS)]
    batch_id = make_batch(database, model_id, items=len(cases), per_chunk=len(cases), **changed)
    if count_of_parts:
        with database.write() as connection:
            for seq in range(len(cases)):
                of_item = update(Item).where(Item.batch_id == batch_id, Item.seq == seq)
                connection.execute(of_item.values(part_id=f"SN-{seq % count_of_parts}"))
            connection.execute(update(Batch).where(Batch.id == batch_id).values(version=Batch.version + 1))
            parts.make(connection, batch_id)
    held = must_claim(database)
    results = [Result(0, error_code="corrupt_image")]
    for seq, (score, guard) in enumerate(cases[1:], 1):
        verdict, _ = judged(score, guard)
        results.append(Result(seq, verdict, score, reasons=reasons_for(score, OLD, guard)))
    with database.write() as connection:
        verdicts.record(connection, [(held, results)], model_sha256="0" * 64)
    run(database, endings.complete, batch_id)
    return record_of(database, batch_id)


def record_of(database: Database, batch_id: str) -> BatchRecord:
    return BatchRecord._make(batch_row(database, batch_id))


@pytest.mark.parametrize(
    ("count_of_parts", "changed", "without_score"),
    [(0, {}, None), (7, {}, None), (7, {}, "all"), (7, {}, "SN-3"), (7, {"expected_views": ["top"]}, None)],
)
@pytest.mark.parametrize("rule", ["any_defect", "all_defect"])
def test_each_verdict_is_that_of_a_worker_at_the_new_point(
    database: Database,
    model_id: str,
    count_of_parts: int,
    changed: dict[str, Any],
    without_score: str | None,
    rule: str,
) -> None:
    batch = ended_batch(database, model_id, count_of_parts, part_rule=rule, **changed)
    if without_score is not None:  # as parts are that ended before they kept a score
        old = update(Part) if without_score == "all" else update(Part).where(Part.part_id == without_score)
        with database.write() as connection:
            connection.execute(old.values(score=None, held=None))
    for number, point in enumerate([*POINTS, OLD], 1):
        before = verdicts_of(database, batch.id)
        with database.read() as connection:
            counted = rescoring.count(connection, batch, point)
        with database.write() as connection:
            batch, changes = rescoring.rescore(connection, batch, point, "key_1")
        assert changes == counted, "a preview tells what the rescoring does"
        after = verdicts_of(database, batch.id)
        flips = sum(before[seq][0] != after[seq][0] for seq in after)
        assert sum(count for *_, count in changes.items) == flips
        for _, (verdict, reasons, score, guard) in after.items():
            assert (verdict, reasons) == judged(score, guard, point), (score, guard, point)
        assert batch == record_of(database, batch.id), "the counters are those of the items"
        assert batch.revision == number
        with database.read() as connection:
            assert part_faults(connection) == []
        assert run(database, recount, batch.id) == {}
    with database.read() as connection:
        history = rescoring.history(connection, batch.id)
        events = connection.execute(
            select(BatchEvent.threshold, BatchEvent.revision)
            .where(BatchEvent.type == "batch.rescored")
            .order_by(BatchEvent.seq)
        ).all()
    assert [row.revision for row in history] == list(range(len(POINTS) + 1, 0, -1))
    assert [(row.old_threshold, row.threshold) for row in history][-1] == (0.5, POINTS[0].threshold)
    assert [tuple(event) for event in events] == [
        (point.threshold, number) for number, point in enumerate([*POINTS, OLD], 1)
    ]


def verdicts_of(database: Database, batch_id: str) -> dict[int, tuple[Any, ...]]:
    """Verdict, reasons, score and the guard's findings of the judged items."""
    cases, these = list(itertools.product(SCORES, GUARDS)), (Item.batch_id == batch_id, Item.seq > 0)
    of_batch = select(*shown.columns(record_of(database, batch_id)))
    joined = select(*shown.columns()).join(Batch, Batch.id == Item.batch_id)
    with database.read() as connection:
        rows, same = (
            [ItemRecord._make(row) for row in connection.execute(query.where(*these).order_by(Item.seq))]
            for query in (of_batch, joined)
        )
    assert rows == same
    return {row.seq: (row.verdict, row.reasons, row.score, cases[row.seq - 1][1]) for row in rows}


def test_reasons_of_parts_follow_their_views(database: Database, model_id: str) -> None:
    batch = ended_batch(database, model_id, 7, expected_views=None)
    with database.write() as connection:
        rescoring.rescore(connection, batch, OperatingPoint(0.5, 0.0, 1.0), None)
    with database.read() as connection:
        rows = connection.execute(
            select(*judged_parts.columns())
            .join(Batch, Batch.id == Part.batch_id)
            .where(Part.batch_id == batch.id)
            .order_by(Part.part_id)
        ).all()
    found = [(row.verdict, row.reasons) for row in map(PartRecord._make, rows)]
    assert {*found[1:]} == {("review", "view_in_review")}
    assert found[0] == ("review", "view_without_verdict,view_in_review")


def test_a_persons_verdict_on_a_view_stands_and_the_queue_is_made_again(
    database: Database, model_id: str
) -> None:
    batch = ended_batch(database, model_id, 7)
    who, shares = Reviewer("key_1", "QA"), Shares(0.0, 0.0, 0.0)
    with database.write() as connection:
        reviews.give(connection, "t", (batch.id, 1), who, "defect", None, shares)  # score 0.0, a view of SN-1
    batch = record_of(database, batch.id)
    run(database, queue_all, batch, shares)
    with database.write() as connection:
        batch, changes = rescoring.rescore(connection, batch, POINTS[2], None)
    assert "SN-1" not in {flip.part_id for flip in changes.flips}
    with database.read() as connection:
        now = select(Part.part_id, judged_parts.NOW).join(Batch, Batch.id == Part.batch_id)
        parts_now = {row[0]: row[1] for row in connection.execute(now)}
        assert part_faults(connection) == []
        waiting = list(connection.scalars(select(ReviewEntry.seq).where(ReviewEntry.status == "waiting")))
    assert (parts_now["SN-1"], waiting) == ("defect", []), (
        "entries without an opinion went with their verdict"
    )
    run(database, queue_all, record_of(database, batch.id), shares)
    with database.read() as connection:
        queued = set(connection.scalars(select(ReviewEntry.seq).where(ReviewEntry.status == "waiting")))
        judged_now = select(Item.seq).join(Batch, Batch.id == Item.batch_id)
        held = set(connection.scalars(judged_now.where(shown.NOW == "review")))
    assert queued == held - {1}


def queue_all(connection: Any, batch: BatchRecord, shares: Shares) -> None:
    [unmade] = review_queue.unmade(connection, "t", Wanted(batch.id))
    assert review_queue.fill(connection, unmade, batch.total, shares)


def test_two_rescorings_at_once_are_one_after_the_other(database: Database, model_id: str) -> None:
    batch = ended_batch(database, model_id)
    outcomes: list[str] = []

    def second() -> None:
        try:
            with database.write() as connection:
                rescoring.rescore(connection, batch, POINTS[0], None)
            outcomes.append("done")
        except Overtaken:
            outcomes.append("overtaken")

    thread = threading.Thread(target=second)
    with database.write() as connection:
        rescoring.rescore(connection, batch, POINTS[1], None)
        thread.start()
        thread.join(0.3)
        assert not outcomes, "the second waits for the first"
    thread.join(20)
    assert outcomes == ["overtaken"]
    now = record_of(database, batch.id)
    assert (now.revision, now.threshold) == (1, POINTS[1].threshold)


def test_a_rescoring_that_a_retry_overtook_changes_nothing(database: Database, model_id: str) -> None:
    batch = ended_batch(database, model_id)
    assert run(database, steering.retry, batch.id) == 1
    with pytest.raises(Overtaken), database.write() as connection:
        rescoring.rescore(connection, batch, POINTS[1], None)
    held = must_claim(database)
    with database.write() as connection:
        verdicts.record(connection, [(held, [Result(0, "defect", 0.9)])], model_sha256="0" * 64)
    run(database, endings.complete, batch.id)
    with pytest.raises(Overtaken), database.write() as connection:
        rescoring.rescore(connection, batch, POINTS[1], None)
    now = record_of(database, batch.id)
    assert (now.revision, now.defect) == (0, batch.defect + 1)


def test_images_that_are_judged_after_a_rescoring_are_judged_by_its_point(
    database: Database, model_id: str
) -> None:
    batch = ended_batch(database, model_id)
    with database.write() as connection:
        rescoring.rescore(connection, batch, OperatingPoint(0.7, 0.65, 0.75), None)
    run(database, steering.retry, batch.id)
    held = must_claim(database)
    assert (held.threshold, held.review_low, held.review_high) == (0.7, 0.65, 0.75)


def test_a_rescoring_writes_no_item_however_many_flip(database: Database, model_id: str) -> None:
    batch = ended_batch(database, model_id, 7)
    with statements(database.engine) as seen, database.write() as connection:
        _, changes = rescoring.rescore(connection, batch, OperatingPoint(0.0, 0.0, 0.0), None)
    assert sum(count for *_, count in changes.items) > 5
    written = [sql for sql, _ in seen if sql.lstrip().startswith(("UPDATE", "INSERT", "WITH"))]
    assert written
    assert not [sql for sql in written if "UPDATE items" in sql or "INTO items" in sql]


def test_the_promise_of_a_model_holds_at_its_own_point_alone(database: Database, model_id: str) -> None:
    with database.write() as connection:
        connection.execute(update(ModelVersion).values(promised=0.01))
    batch = ended_batch(database, model_id, promised=0.01)
    promises = []
    for point in (POINTS[0], OLD):
        with database.write() as connection:
            batch, _ = rescoring.rescore(connection, batch, point, None)
        promises.append(batch.promised)
    assert promises == [None, 0.01]


def test_deleting_a_batch_deletes_its_history(database: Database, model_id: str) -> None:
    batch = ended_batch(database, model_id)
    with database.write() as connection:
        rescoring.rescore(connection, batch, POINTS[0], None)
    assert run(database, purging.purge_rows, batch.id)
    with database.read() as connection:
        assert rescoring.history(connection, batch.id) == []
        assert connection.scalars(select(Delivery.id)).all() == []


@pytest.mark.parametrize("rule", ["any_defect", "all_defect"])
def test_the_bins_foretell_what_a_rescoring_changes(database: Database, model_id: str, rule: str) -> None:
    batch = ended_batch(database, model_id, 7, part_rule=rule)
    bins = score_bins.of(database, batch)
    assert score_bins.of(database, batch) == bins, "the second reading finds the bins that are kept"
    assert sum(plain + held for _, plain, held in bins["items"]) == batch.succeeded
    for point in (
        OperatingPoint(0.05, 0.05, 0.05),
        OperatingPoint(0.8, 0.65, 0.95),
        OperatingPoint(1.0, 0.995, 1.0),
    ):
        with database.write() as connection:
            batch, _ = rescoring.rescore(connection, batch, point, None)
        told: Counter[str] = Counter()
        for place, plain, held in bins["items"]:
            told[decide((place + 0.5) / BINS, point).value] += plain
            told["review"] += held
        assert told == Counter({name: getattr(batch, name) for name in ("defect", "no_defect", "review")}), (
            point
        )
        enough = "no_defect" if rule == "all_defect" else "defect"
        parts_told = Counter({"review": bins["review_parts"]})
        for place, plain, held in bins["parts"]:
            verdict = decide((place + 0.5) / BINS, point).value
            parts_told[verdict] += plain
            parts_told[verdict if verdict == enough else "review"] += held
        found = {name: getattr(batch, f"{name}_parts") for name in ("defect", "no_defect", "review")}
        assert parts_told == Counter(found), point
        with database.read() as connection:
            now = select(Part.part_id, judged_parts.NOW).join(Batch, Batch.id == Part.batch_id)
            verdict_of = {row[0]: row[1] for row in connection.execute(now.where(Part.batch_id == batch.id))}
        named = bins["named_parts"]
        assert sum(map(len, named.values())) == min(
            sum(plain for _, plain, _ in bins["parts"]), 3 * len(named)
        )
        for bin_, ids in named.items():
            assert {verdict_of[each] for each in ids} == {decide((int(bin_) + 0.5) / BINS, point).value}
