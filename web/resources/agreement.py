"""Agreement of the model with persons over a window of batches, in groups, and the rates that it tells.

An item counts where the queue would hold it by its verdict as it stands. After a rescoring, an item that was in the
band and passes now counts only if the audit's sample holds it: else the sample would not be one of those that pass.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, and_, bindparam, cast, func, literal_column, or_, select

from shared.clock import rfc3339
from shared.contract.agreement import (
    AgreementGroup,
    AgreementPayload,
    AgreementQuery,
    ReviewedCounts,
)
from shared.contract.kappa import compared
from shared.contract.rates import Stratum, escape_rate, false_reject_rate
from shared.contract.reviews import BAND, CHOSEN, DONE, GUARD, PASSED, REFUSED
from shared.contract.states import Verdict
from shared.ids import first_id
from shared.lifecycle import judged, sampling
from shared.lifecycle.shares import Shares
from shared.store.engine import database_time
from shared.store.tables import Batch, Item, Opinion, ReviewEntry
from web.service import Service

_DAY_S = 86_400
_LATE_S = 60.0  # an id is made at most so long before the time that its batch notes
_DAY = cast(Batch.created_at, BigInteger) // _DAY_S
_WINDOW = and_(
    Batch.tenant == bindparam("of_tenant"),
    Batch.origin.in_(["batch", "predict"]),
    Batch.rerun_of.is_(None),  # its images count with their first batch
    Batch.id >= bindparam("from_id"),
    Batch.created_at >= bindparam("since"),
)
_ITEMS = (
    select(
        Batch.model_id,
        Batch.line,
        _DAY,
        func.sum(Batch.defect),
        func.sum(Batch.no_defect),
        func.sum(Batch.review),
    )
    .where(_WINDOW)
    .group_by(Batch.model_id, Batch.line, _DAY)
)
_NOW = judged.NOW.label("judged")
_IS_AS_QUEUED = or_(
    and_(judged.NOW == Verdict.REVIEW, ReviewEntry.source.in_([BAND, GUARD])),
    and_(judged.NOW == Verdict.NO_DEFECT, ReviewEntry.source == PASSED),
    and_(judged.NOW == Verdict.DEFECT, ReviewEntry.source == REFUSED),
)
_OF_ITEM = and_(Item.batch_id == ReviewEntry.batch_id, Item.seq == ReviewEntry.seq)
_DONE = and_(
    ReviewEntry.tenant == bindparam("of_tenant"),
    ReviewEntry.status == DONE,
    ReviewEntry.reviewed_at >= bindparam("since"),
)
_REVIEWED = (
    select(Batch.model_id, Batch.line, _DAY, _NOW, ReviewEntry.verdict, func.count())
    .join_from(ReviewEntry, Batch, Batch.id == ReviewEntry.batch_id)
    .join(Item, _OF_ITEM)
    .where(_DONE, _WINDOW, _IS_AS_QUEUED)
    .group_by(Batch.model_id, Batch.line, _DAY, literal_column("judged"), ReviewEntry.verdict)
)
# Items whose verdict has changed since they were queued, by a rescoring.
_MOVED = (
    select(
        Batch.model_id, Batch.line, _DAY, judged.NOW, ReviewEntry.verdict, ReviewEntry.batch_id, ReviewEntry.seq
    )
    .join_from(ReviewEntry, Batch, Batch.id == ReviewEntry.batch_id)
    .join(Item, _OF_ITEM)
    .where(_DONE, _WINDOW, ReviewEntry.source != CHOSEN, ~_IS_AS_QUEUED)
)  # fmt: skip
_PAIRS = (
    select(Batch.model_id, Batch.line, _DAY, Opinion.batch_id, Opinion.seq, Opinion.verdict)
    .join_from(ReviewEntry, Batch, Batch.id == ReviewEntry.batch_id)
    .join(Opinion, and_(Opinion.batch_id == ReviewEntry.batch_id, Opinion.seq == ReviewEntry.seq))
    .where(_DONE, _WINDOW, ReviewEntry.rounds > 1, Opinion.undone_at.is_(None))
    .order_by(Opinion.id)
)


class _Key(NamedTuple):
    model_id: str | None
    line: str | None
    day: int | None


class _Group:
    """The counts of one group."""

    def __init__(self) -> None:
        self.items: Counter[str] = Counter()
        self.reviewed: Counter[tuple[str, str]] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()


def agreement(
    here: Service, tenant: str, query: AgreementQuery, shares: Shares, most: int | None = None
) -> AgreementPayload:
    """The figures of a tenant for the batches of a window. `most`: only so many groups, those of the most items."""
    by = query.get("by", [])

    def key(model_id: str, line: str | None, day: float) -> _Key:
        return _Key(
            model_id if "model" in by else None,
            line if "line" in by else None,
            int(day) if "day" in by else None,
        )

    with here.database.read() as connection:
        since = database_time(connection) - query["window"]
        given = {"of_tenant": tenant, "since": since, "from_id": first_id("bat", since - _LATE_S)}
        groups = _counted(connection, given, key, shares)
    largest = sorted(groups.items(), key=lambda each: -each[1].items.total())[:most]
    shown = sorted(largest, key=lambda each: tuple(str(part) for part in each[0]))
    return {
        "object": "agreement",
        "window": query["window"],
        "since": rfc3339(since),
        "groups": [_payload(here, at, group) for at, group in shown],
    }


def _counted(
    connection: Connection, given: dict[str, object], key: Callable[..., _Key], shares: Shares
) -> dict[_Key, _Group]:
    groups: defaultdict[_Key, _Group] = defaultdict(_Group)
    for model_id, line, day, *counts in connection.execute(_ITEMS, given):
        group = groups[key(model_id, line, day)]
        group.items.update(dict(zip(("defect", "no_defect", "review"), map(int, counts), strict=True)))
    for model_id, line, day, models, persons, count in connection.execute(_REVIEWED, given):
        groups[key(model_id, line, day)].reviewed[str(models), str(persons)] += count
    for model_id, line, day, models, persons, batch_id, seq in connection.execute(_MOVED, given):
        share = {"no_defect": shares.passed, "defect": shares.refused}.get(str(models), 1.0)
        if sampling.is_sampled(batch_id, seq, share):
            groups[key(model_id, line, day)].reviewed[str(models), str(persons)] += 1
    firsts: dict[tuple[str, int], list[str]] = {}
    for model_id, line, day, batch_id, seq, verdict in connection.execute(_PAIRS, given):
        opinions = firsts.setdefault((batch_id, seq), [])
        opinions.append(verdict)
        if len(opinions) == 2:
            groups[key(model_id, line, day)].pairs[opinions[0], opinions[1]] += 1
    return groups


def _payload(here: Service, at: _Key, group: _Group) -> AgreementGroup:
    passed, refused, review = (
        Stratum(
            group.items[models],
            group.reviewed[models, "defect"] + group.reviewed[models, "no_defect"],
            group.reviewed[models, "defect"],
        )
        for models in ("no_defect", "defect", "review")
    )
    decided = passed.reviewed + refused.reviewed
    same = group.reviewed["defect", "defect"] + group.reviewed["no_defect", "no_defect"]
    day = None if at.day is None else datetime.fromtimestamp(at.day * _DAY_S, UTC).date().isoformat()
    return {
        "model": None if at.model_id is None else here.model_ref(at.model_id),
        "line": at.line,
        "day": day,
        "items": {
            "defect": group.items["defect"],
            "no_defect": group.items["no_defect"],
            "review": group.items["review"],
        },
        "reviewed": _reviewed(group),
        "agreed": same / decided if decided else None,
        "second_opinions": compared(group.pairs),
        "escape_rate": escape_rate(passed, refused, review),
        "false_reject_rate": false_reject_rate(passed, refused, review),
    }


def _reviewed(group: _Group) -> ReviewedCounts:
    found: Any = {
        models: {persons: group.reviewed[models, persons] for persons in ("defect", "no_defect")}
        for models in ("defect", "no_defect", "review")
    }
    made: ReviewedCounts = found
    return made
