"""The steps of a process that fetches, on the rows alone: for tests of the lifecycle."""

import secrets

from sqlalchemy import Connection, select, update

from shared.access.quotas import Bounds
from shared.contract.states import FetchStatus, ItemStatus
from shared.lifecycle import fetches
from shared.lifecycle.fetches import Claimed
from shared.store.engine import database_time
from shared.store.tables import Fetch, Item

_UNBOUNDED = Bounds(0, 0, 0.0, 0, 0)
_HOLD_S = 3600.0  # such a claim ends by a step of the test, never by the clock of a slow machine


def claim(connection: Connection, most: int = 100) -> list[Claimed]:
    """Claim the fetches that are due."""
    at = database_time(connection)
    due = fetches.due(connection, most, at)
    taken = [fetches.claim(connection, item, at, _HOLD_S, secrets.token_hex(8)) for item in due]
    return [held for held in taken if held is not None]


def may_end(connection: Connection, held: Claimed, outcome: str) -> bool:
    """Whether the fetch is still that of this claim; a repeated `stored` finds its own pack, and is true again."""
    mine = (Fetch.batch_id == held.batch_id, Fetch.seq == held.seq, Fetch.token == held.token)
    if connection.scalar(select(Fetch.seq).where(*mine)) is not None:
        return True
    stored = select(Item.seq).where(Item.batch_id == held.batch_id, Item.pack == held.pack)
    return outcome == "stored" and connection.scalar(stored) is not None


def end(connection: Connection, held: Claimed, outcome: str) -> bool:
    """End a claim by this outcome; `late` lets its time pass. False where the claim was lost."""
    if outcome == "stored":
        return fetches.store(connection, held, "f" * 64, 1, _UNBOUNDED) is not None
    if outcome == "failed":
        return fetches.give_up(connection, held, "fetch_failed", "as told") is not None
    if outcome == "later":
        return fetches.put_off(connection, held, 0.0)
    late = (Fetch.batch_id == held.batch_id, Fetch.seq == held.seq, Fetch.token == held.token)
    return connection.execute(update(Fetch).where(*late).values(due_at=0.0)).rowcount == 1


def retryable(connection: Connection, batch_id: str) -> set[tuple[str, int]]:
    """The failed items of a batch whose bytes are kept or can be fetched again."""
    failed = select(Item.batch_id, Item.seq, Item.length).where(
        Item.batch_id == batch_id, Item.status == ItemStatus.FAILED
    )
    of_fetches = select(Fetch.seq).where(Fetch.batch_id == batch_id, Fetch.status == FetchStatus.FAILED)
    again = {*connection.scalars(of_fetches)}
    return {(row.batch_id, row.seq) for row in connection.execute(failed) if row.length or row.seq in again}
