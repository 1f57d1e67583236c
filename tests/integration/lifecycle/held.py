"""The conditions that hold after every step of a walk."""

from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import select

from shared.contract.states import FINISHED_ITEM
from shared.lifecycle import endings
from shared.store.engine import Database
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Item
from tests.harness.part_faults import part_faults
from tests.integration.lifecycle.truth import (
    check_counters,
    check_ends,
    check_events,
    check_fetches,
    check_paused,
)


class Held(RuleBasedStateMachine):
    """Batches by name, and the terminal state of each item as it was seen last."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[str, str] = {}
        self.terminal: dict[tuple[str, int], tuple[str, str | None]] = {}

    @invariant()
    def counters_and_events_agree_with_the_rows(self) -> None:
        with self.database.read() as connection:
            check_counters(connection)
            check_events(connection)
            check_fetches(connection)
            check_paused(connection)

    @invariant()
    def a_terminal_state_never_changes(self) -> None:
        with self.database.read() as connection:
            rows = connection.execute(select(Item.batch_id, Item.seq, Item.status, Item.verdict)).all()
        now = {(row[0], row[1]): (row[2], row[3]) for row in rows if row[2] in FINISHED_ITEM}
        for place, state in self.terminal.items():
            assert now.get(place) == state, place
        self.terminal = now

    @invariant()
    def one_completion_event_for_each_end(self) -> None:
        with self.database.read() as connection:
            check_ends(connection)

    @invariant()
    def each_part_has_one_verdict_and_one_event(self) -> None:
        with self.database.read() as connection:
            assert part_faults(connection) == []

    def _row(self, name: str) -> BatchRecord | None:
        query = select(Batch.__table__).where(Batch.id == self.batches.get(name, ""))
        with self.database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else BatchRecord._make(row)

    def _complete(self, batch_id: str) -> None:
        with self.database.write() as connection:
            endings.complete(connection, batch_id)
