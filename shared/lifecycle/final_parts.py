"""The verdict of an ended part follows the reviews of its views: a person's verdict goes before the model's."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, update

from shared.contract.states import Verdict
from shared.lifecycle import judged_parts, parts
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Item, Part

_MANY = 500  # a statement takes a bounded number of parameters
_VIEWS = parts.views_by_part(reviewed=True, rescored=True).where(
    Item.part_id.in_(bindparam("of_parts", expanding=True))
)
_VERDICTS = (
    select(Part.part_id, judged_parts.NOW)
    .join(Batch, Batch.id == Part.batch_id)
    .where(
        Part.batch_id == bindparam("in_batch"),
        Part.part_id.in_(bindparam("of_parts", expanding=True)),
        Part.finished_at.is_not(None),
    )
)
_WRITE = (
    update(Part)
    .where(Part.batch_id == bindparam("in_batch"), Part.part_id == bindparam("of_part"))
    .values(
        verdict=bindparam("new_verdict"),
        reasons=bindparam("new_reasons"),
        score=bindparam("new_score"),
        held=bindparam("new_held"),
    )
)
_COUNT = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        defect_parts=Batch.defect_parts + bindparam("more_defect"),
        no_defect_parts=Batch.no_defect_parts + bindparam("more_no_defect"),
        review_parts=Batch.review_parts + bindparam("more_review"),
    )
)


def judge(connection: Connection, batch: BatchRecord, part_ids: Sequence[str]) -> None:
    """Give parts that have ended the verdict of their views as they stand now; a part with an open view ends later.

    The caller holds the lock of the batch's row, and raises its version.
    """
    more: Counter[str] = Counter()
    for start in range(0, len(part_ids), _MANY):
        some = {"in_batch": batch.id, "of_parts": list(part_ids[start : start + _MANY])}
        before = {str(part_id): verdict for part_id, verdict in connection.execute(_VERDICTS, some)}
        missing = parts.missing_views(connection, batch, list(before))
        rows = []
        for row in connection.execute(_VIEWS, some).all():
            part_id = row[0]
            if part_id not in before:
                continue
            views = parts.Views.of(row, missing.get(part_id, ()))
            score, held = views.decides(batch.part_rule)
            verdict = views.verdict(batch.part_rule)
            reasons = ",".join(views.reasons()) if verdict == Verdict.REVIEW else ""
            new = {
                "new_verdict": verdict,
                "new_reasons": reasons or None,
                "new_score": score,
                "new_held": held,
            }
            rows.append({"of_part": part_id, **new})
            more[verdict] += 1
            more[before[part_id] or ""] -= 1
        if rows:
            connection.execute(_WRITE, [{"in_batch": batch.id, **row} for row in rows])
    if any(more.values()):
        counts_of = {f"more_{verdict}": more[verdict] for verdict in Verdict}
        connection.execute(_COUNT, {"in_batch": batch.id, **counts_of})
