"""Persons give their verdict on items, and take it back. The model's verdict stays as it is.

The row of the batch is locked first, so that one opinion of a batch is given at a time: entry, history and the part's
verdict change in one transaction. Locks are taken in the order batch, entry, opinions, parts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from shared.contract.reviews import CHOSEN, DONE, WAITING, ReviewPayload, is_held, review_payload, settled
from shared.errors import GonogoError
from shared.lifecycle import final_parts, judged, sampling
from shared.lifecycle.shares import Shares, source_of
from shared.store.engine import clock, database_time
from shared.store.records import BatchRecord, ItemRecord
from shared.store.review_records import EntryRecord, OpinionRecord
from shared.store.tables import Batch, Item, Opinion, ReviewEntry

Reviews = dict[tuple[str, int], ReviewPayload]
MOST_OPINIONS = 100  # of an item: its history is shown whole
_MANY = 500  # a statement takes a bounded number of parameters

_LOCK = (
    select(Batch.__table__)
    .where(Batch.id == bindparam("in_batch"), Batch.tenant == bindparam("of_tenant"))
    .with_for_update(key_share=True)
)
_ITEM = (
    select(*judged.columns())
    .join(Batch, Batch.id == Item.batch_id)
    .where(Item.batch_id == bindparam("in_batch"), Item.seq == bindparam("at_seq"))
)
_OF_ENTRY = and_(ReviewEntry.batch_id == bindparam("in_batch"), ReviewEntry.seq == bindparam("at_seq"))
_ENTRY = select(ReviewEntry.__table__).where(_OF_ENTRY).with_for_update()
_OPINIONS = (
    select(Opinion.__table__)
    .where(Opinion.batch_id == bindparam("in_batch"), Opinion.seq == bindparam("at_seq"))
    .order_by(Opinion.id)
)
_UNDO = (
    update(Opinion)
    .where(Opinion.id == bindparam("of_opinion"), Opinion.undone_at.is_(None))
    .values(undone_at=clock())
)
_SETTLE = (
    update(ReviewEntry)
    .where(_OF_ENTRY)
    .values(
        status=bindparam("new_status"),
        verdict=bindparam("new_verdict"),
        given=bindparam("new_given"),
        reviewed_at=bindparam("at"),
        holder=bindparam("by_holder"),
        lease_until=bindparam("until"),
    )
)
_DROP = delete(ReviewEntry).where(_OF_ENTRY)
_NEXT_VERSION = update(Batch).where(Batch.id == bindparam("in_batch")).values(version=Batch.version + 1)
_LATEST = (
    select(Opinion.batch_id, Opinion.seq)
    .where(Opinion.key_id == bindparam("by_key"), Opinion.tenant == bindparam("of_tenant"), Opinion.undone_at.is_(None))
    .order_by(Opinion.id.desc())
    .limit(1)
)  # fmt: skip
_DONE_OF = (
    select(Opinion.__table__)
    .join(ReviewEntry, and_(ReviewEntry.batch_id == Opinion.batch_id, ReviewEntry.seq == Opinion.seq))
    .where(
        ReviewEntry.status == DONE,
        ReviewEntry.batch_id == bindparam("in_batch"),
        ReviewEntry.seq.between(bindparam("first"), bindparam("last")),
    )
    .order_by(Opinion.id)
)

_ANY = (
    select(ReviewEntry.seq)
    .where(ReviewEntry.batch_id == bindparam("in_batch"), ReviewEntry.status == DONE)
    .limit(1)
)


class NotReviewable(GonogoError):
    """The item is not in a state in which this person may review it, or take a review back."""

    code = "wrong_state"


HELD_BY_ANOTHER = (
    "the item is held by another claim: "
    "send that claim, take the next item, or wait until the lease has ended"
)


class ClaimedByOther(GonogoError):
    """Another person has the item now."""

    code = "claimed_by_other"


class Reviewer(NamedTuple):
    """A person, as far as the service knows: a key, its name, and the claim that this person holds.

    `by_claim`: the verdict is meant for the item as it was claimed, and is late where others have reviewed it since.
    """

    key_id: str
    name: str
    holder: str | None = None
    by_claim: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """An item after an opinion: whether anything changed, whether its review is or was final, and its batch."""

    item: ItemRecord
    batch: BatchRecord
    changed: bool
    is_told: bool = False
    subject: str = ""


class _Place(NamedTuple):
    batch: BatchRecord
    item: ItemRecord
    entry: EntryRecord | None
    opinions: list[OpinionRecord]

    @property
    def live(self) -> list[OpinionRecord]:
        return [each for each in self.opinions if each.undone_at is None]

    @property
    def key(self) -> dict[str, str | int]:
        return {"in_batch": self.item.batch_id, "at_seq": self.item.seq}


def give(
    connection: Connection,
    tenant: str,
    place: tuple[str, int],
    who: Reviewer,
    verdict: str,
    note: str | None,
    shares: Shares,
) -> Change | None:
    """Note a person's verdict on an item; None where the tenant has no such item.

    The same verdict and note again, by the same key, change nothing. Raises ClaimedByOther while another person has the
    item, and NotReviewable where it has no verdict, or waits for the opinion of another person.
    """
    found = _lock(connection, tenant, place)
    if found is None:
        return None
    mine = [each for each in found.live if each.key_id == who.key_id]
    if mine and mine[-1] == found.live[-1] and (mine[-1].verdict, mine[-1].note) == (verdict, note):
        return Change(found.item, found.batch, changed=False)
    if found.item.verdict is None:
        raise NotReviewable(f"the item is {found.item.status} and has no verdict to review")
    if who.by_claim and found.entry is not None and found.entry.status == DONE:
        raise ClaimedByOther(
            "the claim has ended, and the item has been reviewed since: to change a verdict, send it without a claim"
        )
    if len(found.opinions) >= MOST_OPINIONS:
        raise NotReviewable(f"the item has {MOST_OPINIONS} opinions, and takes no more")
    now = database_time(connection)
    entry = found.entry or _new_entry(connection, found, shares, now)
    _check_holder(entry, who, now)
    if entry.status == WAITING and mine:
        raise NotReviewable(
            "another person must give the next opinion on this item: take yours back to change it"
        )
    connection.execute(
        insert(Opinion).values(
            batch_id=found.item.batch_id, seq=found.item.seq, tenant=tenant, verdict=verdict, note=note,
            key_id=who.key_id, name=who.name, at=now,
        )
    )  # fmt: skip
    return _settle(connection, found, entry, now)


def take_back(
    connection: Connection, tenant: str, place: tuple[str, int], who: Reviewer, lease_s: float
) -> Change | None:
    """Take back the newest opinion of a person on an item; None where the tenant has no such item.

    The item is in the queue again, and `who.holder` has it. Again, it changes nothing. Raises NotReviewable where the
    newest opinion is another person's, or this one has given none.
    """
    found = _lock(connection, tenant, place)
    if found is None:
        return None
    if not any(each.key_id == who.key_id for each in found.opinions):
        raise NotReviewable("this key has given no opinion on the item")
    if not found.live or found.entry is None:
        return Change(found.item, found.batch, changed=False)
    last = found.live[-1]
    if last.key_id != who.key_id:
        if any(each.key_id == who.key_id for each in found.live):
            raise NotReviewable("another person has reviewed the item since")
        return Change(found.item, found.batch, changed=False)
    now = database_time(connection)
    _check_holder(found.entry, who, now)
    connection.execute(_UNDO, {"of_opinion": last.id})
    until = None if who.holder is None else now + lease_s
    return _settle(connection, found, found.entry, now, who.holder, until)


def latest(connection: Connection, tenant: str, key_id: str) -> tuple[str, int] | None:
    """The item of the newest opinion of a key that was not taken back."""
    row = connection.execute(_LATEST, {"of_tenant": tenant, "by_key": key_id}).first()
    return None if row is None else (row.batch_id, row.seq)


def of(connection: Connection, places: Iterable[tuple[str, int]]) -> Reviews:
    """The final reviews of items, by batch and place. Items without one are absent."""
    by_batch: dict[str, list[int]] = {}
    for batch_id, seq in places:
        by_batch.setdefault(batch_id, []).append(seq)
    found: dict[tuple[str, int], list[OpinionRecord]] = {}
    for batch_id, seqs in by_batch.items():
        wanted = set(seqs)
        given = {"in_batch": batch_id, "first": min(seqs), "last": max(seqs)}
        query = _DONE_OF
        if len(wanted) <= _MANY:
            query = query.where(ReviewEntry.seq.in_(sorted(wanted)))
        for row in map(OpinionRecord._make, connection.execute(query, given)):
            if row.seq in wanted:
                found.setdefault((batch_id, row.seq), []).append(row)
    return {place: review_payload(opinions) for place, opinions in found.items()}


def has_any(connection: Connection, batch_id: str) -> bool:
    """Whether an item of a batch has a final review: one look, for a reader of all items."""
    return connection.scalar(_ANY, {"in_batch": batch_id}) is not None


def _lock(connection: Connection, tenant: str, place: tuple[str, int]) -> _Place | None:
    """The item with its entry and opinions, while the transaction holds the lock of its batch."""
    row = connection.execute(_LOCK, {"in_batch": place[0], "of_tenant": tenant}).first()
    if row is None:
        return None
    batch, key = BatchRecord._make(row), {"in_batch": place[0], "at_seq": place[1]}
    item = connection.execute(_ITEM, key).first()
    if item is None or not batch.sealed:
        return None
    entry = connection.execute(_ENTRY, key).first()
    opinions = [OpinionRecord._make(each) for each in connection.execute(_OPINIONS, key)]
    return _Place(
        batch, ItemRecord._make(item), None if entry is None else EntryRecord._make(entry), opinions
    )


def _check_holder(entry: EntryRecord, who: Reviewer, now: float) -> None:
    if entry.holder is not None and entry.holder != who.holder and is_held(entry, now):
        raise ClaimedByOther(HELD_BY_ANOTHER)


def _new_entry(connection: Connection, found: _Place, shares: Shares, now: float) -> EntryRecord:
    """The entry of an item that the queue has not come to, or that a person chose."""
    source, share = source_of(found.item, shares) or (CHOSEN, 1.0)
    item = found.item
    rounds = 2 if sampling.is_sampled(item.batch_id, item.seq, shares.second, "second") else 1
    entry = EntryRecord(
        item.batch_id, item.seq, found.batch.tenant, found.batch.line, source, share, WAITING, now, rounds, 0,
        None, None, None, None,
    )  # fmt: skip
    connection.execute(insert(ReviewEntry).values(entry._asdict()))
    return entry


def _settle(
    connection: Connection,
    found: _Place,
    entry: EntryRecord,
    now: float,
    holder: str | None = None,
    until: float | None = None,
) -> Change:
    """Bring the entry, and the part's verdict, to the opinions as they stand now."""
    opinions = [OpinionRecord._make(row) for row in connection.execute(_OPINIONS, found.key)]
    live = [each.verdict for each in opinions if each.undone_at is None]
    verdict = settled(live, entry.rounds) if live else None
    if not live and entry.source == CHOSEN:
        connection.execute(_DROP, found.key)
    else:
        connection.execute(
            _SETTLE,
            {
                **found.key,
                "new_status": WAITING if verdict is None else DONE,
                "new_verdict": verdict,
                "new_given": len(live),
                "at": None if verdict is None else now,
                "by_holder": holder if verdict is None else None,
                "until": until if verdict is None else None,
            },
        )
    connection.execute(_NEXT_VERSION, {"in_batch": found.batch.id})
    if found.item.part_id is not None and verdict != entry.verdict:
        final_parts.judge(connection, found.batch, [found.item.part_id])
    is_told = verdict is not None or entry.status == DONE
    subject = f"{found.item.seq}:{len(opinions)}:{sum(each.undone_at is not None for each in opinions)}"
    return Change(found.item, found.batch, changed=True, is_told=is_told, subject=subject)
