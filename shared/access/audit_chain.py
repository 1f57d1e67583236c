"""Chains of audit entries: find entries that were changed, removed or inserted, and remove those past their retention.

A removal moves the anchor of its chain: the number and hash of the last entry that is gone, from which the rest can
still be verified.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from shared.access.audit import CHAINS, SERVICE, append, digest
from shared.clock import FIRST_MOMENT
from shared.registry.activations import INSTALLATION
from shared.store.records import AuditRecord
from shared.store.tables import AuditChain, AuditEntry

_ROWS = AuditEntry.__table__
_HEADS = select(AuditChain.__table__).order_by(AuditChain.chain)
_PAGE = 2000
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where a chain is broken. `entry_id` is None where the entry itself is gone."""

    chain: int
    number: int
    entry_id: str | None
    what: str

    def __str__(self) -> str:
        name = f"entry {self.entry_id}" if self.entry_id else "an entry"
        return f"{name} (chain {self.chain}, number {self.number}) {self.what}"


def count(connection: Connection) -> int:
    """How many entries there are."""
    return connection.scalar(select(func.count()).select_from(AuditEntry)) or 0


def verify(connection: Connection) -> Iterator[Fault]:
    """Every place where an entry was changed, removed or inserted. Entries may be added meanwhile."""
    heads = connection.execute(_HEADS).all()
    for chain in sorted(set(range(1, CHAINS + 1)) - {head.chain for head in heads}):
        yield Fault(chain, 0, None, "is missing: it is the head of the chain")
    for head in heads:
        yield from _verify_chain(
            connection, head.chain, head.seq, head.hash, head.pruned_seq, head.pruned_hash
        )
    yield from _outside(connection)


def _verify_chain(
    connection: Connection, chain: int, last: int, head_hash: str, pruned: int, previous: str
) -> Iterator[Fault]:
    number, before = pruned, None
    for row in _entries(connection, chain, after=pruned, through=last):
        if row.seq > number + 1:
            yield from _missing(connection, chain, number + 1, row.seq - 1)
        if digest(row) != row.hash:
            yield Fault(chain, row.seq, row.id, "was changed")
        elif row.seq == number + 1 and row.previous != previous:
            # The entry before fits its own hash: it was written again as a whole.
            blamed = before or row
            yield Fault(chain, blamed.seq, blamed.id, "is not the one that the next entry was chained to")
        number, previous, before = row.seq, row.hash, row
    if number < last:
        yield from _missing(connection, chain, number + 1, last)
    elif before is not None and previous != head_hash:
        yield Fault(chain, before.seq, before.id, "is not the one that the head of the chain names")


def _entries(connection: Connection, chain: int, *, after: int, through: int) -> Iterator[AuditRecord]:
    """The entries of a chain in order, page by page: a trail of years does not fit into memory."""
    while True:
        wanted = and_(AuditEntry.chain == chain, AuditEntry.seq > after, AuditEntry.seq <= through)
        page = connection.execute(select(_ROWS).where(wanted).order_by(AuditEntry.seq).limit(_PAGE)).all()
        yield from map(AuditRecord._make, page)
        if len(page) < _PAGE:
            return
        after = page[-1].seq


def _missing(connection: Connection, chain: int, first: int, last: int) -> Iterator[Fault]:
    """The gap in a chain, unless a removal past the retention has made it since the head was read."""
    pruned = connection.scalar(select(AuditChain.pruned_seq).where(AuditChain.chain == chain)) or 0
    first = max(first, pruned + 1)
    if first == last:
        yield Fault(chain, first, None, "is missing")
    elif first < last:
        yield Fault(chain, first, None, f"and those up to number {last} are missing")


def _outside(connection: Connection) -> Iterator[Fault]:
    """Entries beyond the ends of their chain, or of a chain that there is not: in one statement, so that an entry
    which is added meanwhile is seen together with its head."""
    beyond: ColumnElement[bool] = or_(
        AuditChain.chain.is_(None), AuditEntry.seq > AuditChain.seq, AuditEntry.seq <= AuditChain.pruned_seq
    )
    query = (
        select(AuditEntry.chain, AuditEntry.seq, AuditEntry.id)
        .join(AuditChain, AuditChain.chain == AuditEntry.chain, isouter=True)
        .where(beyond)
        .order_by(AuditEntry.chain, AuditEntry.seq)
    )
    for row in connection.execute(query):
        yield Fault(row.chain, row.seq, row.id, "was inserted: its chain does not hold it")


def outlived(connection: Connection, before: float) -> list[int]:
    """The chains whose oldest entry is from before this time (seconds since the epoch)."""
    oldest = and_(AuditEntry.chain == AuditChain.chain, AuditEntry.seq == AuditChain.pruned_seq + 1)
    later = aliased(AuditEntry)
    dated = exists().where(later.chain == AuditChain.chain, later.at.between(FIRST_MOMENT, before))
    # An entry from before the clock was set is as old as the next one behind it that has a time.
    is_old = or_(AuditEntry.at >= FIRST_MOMENT, dated)
    query = select(AuditChain.chain).join(AuditEntry, oldest).where(AuditEntry.at < before, is_old)
    return list(connection.scalars(query.order_by(AuditChain.chain)))


def prune(connection: Connection, chain: int, before: float, most: int = 10_000) -> int:
    """Remove the oldest entries of a chain up to the first one from `before` on, at most `most`; returns how many.

    An entry that does not fit its hash stays, with all that follow: its time may be forged, so that the removal would
    hide the change from `gonogo doctor`.
    """
    head = connection.execute(
        select(AuditChain.seq, AuditChain.pruned_seq, AuditChain.pruned_hash)
        .where(AuditChain.chain == chain)
        .with_for_update()
    ).one()
    (number, anchor), (seen, previous) = [(head.pruned_seq, head.pruned_hash)] * 2
    for row in _entries(connection, chain, after=number, through=min(head.seq, number + most)):
        if row.at >= before:
            break
        if (row.seq, row.previous, row.hash) != (seen + 1, previous, digest(row)):
            log.warning("audit entry %s does not fit its chain and stays: run `gonogo doctor`", row.id)
            break
        seen, previous = row.seq, row.hash
        if row.at >= FIRST_MOMENT:
            number, anchor = seen, previous
    removed: int = number - head.pruned_seq
    if removed == 0:
        return 0
    values = {"pruned_seq": number, "pruned_hash": anchor}
    connection.execute(update(AuditChain).where(AuditChain.chain == chain).values(values))
    connection.execute(delete(AuditEntry).where(AuditEntry.chain == chain, AuditEntry.seq <= number))
    append(connection, SERVICE, "audit.prune", tenant=INSTALLATION, object_id=None, entries=removed,
           chain=chain, through=number)  # fmt: skip
    return removed
