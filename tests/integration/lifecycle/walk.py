"""Random walks over every change of state a batch can go through, on both databases, by more workers than one.

The machine calls the very functions that the web, the workers and the sweep call, each in its own transaction as
they do, and holds after every step: one terminal state an item, counters equal to the rows, one completion event.
"""

import time

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
)
from sqlalchemy import delete, insert, select, update

from shared.contract.operating_point import OperatingPoint
from shared.contract.states import BatchStatus, ChunkStatus, PartRule
from shared.lifecycle import closing, leases, parts, purging, steering, telling, verdicts
from shared.lifecycle.claims import Claim
from shared.lifecycle.fetches import Claimed
from shared.store.tables import Base, Batch, Chunk, Fetch, ModelVersion
from tests.harness import fetch_rows
from tests.harness.fetch_rows import retryable
from tests.harness.rows import LONG_LEASE_S, append_items, claim_chunks, ended_leases, open_upload, result_of
from tests.integration.lifecycle import known_steps, rescoring_steps
from tests.integration.lifecycle.held import Held
from tests.integration.lifecycle.truth import check_told

_MAX_ATTEMPTS = 2
_MODEL = "mdl_state_machine"
_NAMES = st.sampled_from(["one", "two"])


class _Crash(Exception):
    """A process that dies before its transaction commits."""


class Machine(Held):
    """Batches by name; `claims` holds what each worker thinks it holds, zombies included."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, int] = {}  # how many parts the items of a batch are views of; 0: of none
        self.claims: list[Claim] = []
        self.fetches: list[Claimed] = []  # likewise, of the processes that fetch

    @initialize()
    def empty(self) -> None:
        with self.database.write() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(delete(table))
            connection.execute(
                insert(ModelVersion).values(
                    id=_MODEL, name="m", sha256="0" * 64, threshold=0.5, review_low=0.5, review_high=0.5,
                    card={}, tenant="*", status="ready", created_at=0.0,
                )
            )  # fmt: skip

    # -- what the web does ------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.batches) < 2)
    @rule(first=st.text("gggf", min_size=1, max_size=4), then=st.text("ggffr", max_size=5),
          deadline=st.integers(0, 3).map(lambda n: n == 3), parts=st.integers(0, 3),
          rule=st.sampled_from(PartRule))  # fmt: skip
    def submit(self, first: str, then: str, deadline: bool, parts: int, rule: str) -> None:
        name = next(name for name in ("one", "two") if name not in self.batches)
        with self.database.write() as connection:
            batch_id = open_upload(connection, _MODEL, rule, time.time() - 1 if deadline else None)
        self.batches[name] = batch_id
        self.parts[name] = parts
        self.append(name, first)
        if then:
            self.append(name, then)
            self.seal(name)

    @precondition(lambda self: self.batches)
    @rule(name=_NAMES, kinds=st.text("ggrff", min_size=1, max_size=5))
    def append(self, name: str, kinds: str) -> None:
        row = self._row(name)
        if row is None or row.sealed:
            return
        with self.database.write() as connection:
            append_items(connection, row.id, row.total, kinds, self.parts[name])

    @precondition(lambda self: self.batches)
    @rule(name=_NAMES)
    def seal(self, name: str) -> None:
        row = self._row(name)
        if row is None or row.sealed or row.total == 0:
            return
        with self.database.write() as connection:
            connection.execute(
                update(Chunk).where(Chunk.batch_id == row.id, Chunk.status == "held").values(status="queued")
            )
            connection.execute(update(Batch).where(Batch.id == row.id).values(sealed=True))
            parts.make(connection, row.id)
            parts.complete(connection, row.id)
            telling.begin(connection, row)
        self._complete(row.id)

    @precondition(lambda self: self.batches)
    @rule(name=_NAMES)
    def cancel(self, name: str) -> None:
        if name in self.batches:
            with self.database.write() as connection:
                closing.cancel(connection, self.batches[name])
            self._complete(self.batches[name])

    @precondition(lambda self: self.batches)
    @rule(name=_NAMES)
    def pause(self, name: str) -> None:
        row = self._row(name)
        if row is None:
            return
        with self.database.write() as connection:
            paused = steering.pause(connection, row.id)
        assert paused == (row.sealed and row.status in (BatchStatus.QUEUED, BatchStatus.PROCESSING))

    @precondition(lambda self: self.batches)
    @rule(name=_NAMES)
    def resume(self, name: str) -> None:
        row = self._row(name)
        if row is None:
            return
        with self.database.write() as connection:
            resumed = steering.resume(connection, row.id)
        assert (resumed is not None) == (row.status == BatchStatus.PAUSED)

    @precondition(lambda self: self.batches)
    @rule(name=_NAMES)
    def retry(self, name: str) -> None:
        row = self._row(name)
        if row is None:
            return
        ended = row.finished_at is not None and row.status != BatchStatus.CANCELLED
        with self.database.write() as connection:
            again = retryable(connection, row.id)
            retried = steering.retry(connection, row.id)
        assert (retried is not None) == bool(ended and again)
        if retried is not None:
            self.terminal = {place: state for place, state in self.terminal.items() if place not in again}

    @precondition(lambda self: self.batches)
    @rule(name=_NAMES, point=rescoring_steps.POINTS, crash=st.booleans())
    def rescore(self, name: str, point: OperatingPoint, crash: bool) -> None:
        row = self._row(name)
        if row is not None and rescoring_steps.rescore(self.database, row, point, crash=crash):
            self.terminal = {place: state for place, state in self.terminal.items() if place[0] != row.id}

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def abandon_upload_or_delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.batches)))
        row = self._row(name)
        if row is None or data.draw(st.integers(0, 3)):
            return
        with self.database.write() as connection:
            gone = purging.purge_rows(connection, row.id)
        assert gone == (not row.sealed or row.finished_at is not None)
        if gone:
            del self.batches[name]
            self.terminal = {key: value for key, value in self.terminal.items() if key[0] != row.id}

    # -- what workers do --------------------------------------------------------------------------------------

    @precondition(lambda self: self.batches)
    @rule(micro_batch=st.integers(1, 6))
    def claim(self, micro_batch: int) -> None:
        """A chunk, or more that fit into one micro-batch."""
        before = {held.chunk_id for held in self._live_claims()}
        with self.database.write() as connection:
            taken = claim_chunks(connection, micro_batch)
        assert not before & {held.chunk_id for held in taken}
        assert len(taken) < 2 or all(held.attempt == 1 for held in taken)
        beside = sum(len(held.items) for held in taken[1:])
        assert (
            beside == 0
            or (len(taken[0].items) + beside - 1) // micro_batch == (len(taken[0].items) - 1) // micro_batch
        ), "what is claimed beside a chunk takes no further micro-batch"
        paused = {row.id for row in map(self._row, self.batches) if row and row.status == BatchStatus.PAUSED}
        assert not paused & {held.batch_id for held in taken}, "a paused batch is not begun"
        self.claims += taken

    @precondition(lambda self: self.batches)
    @rule()
    def crash_before_the_claim_commits(self) -> None:
        with pytest.raises(_Crash), self.database.write() as connection:
            claim_chunks(connection, 4)
            raise _Crash

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), crash=st.booleans(), then_complete=st.booleans())
    def record(self, data: st.DataObject, crash: bool, then_complete: bool) -> None:
        """A chunk or more, by a live holder or by a zombie: which one is known from the row alone."""
        held = data.draw(st.lists(st.sampled_from(self.claims), min_size=1, max_size=3, unique_by=id))
        live = {claim for claim in self._live_claims() if claim in held}
        done = [(claim, known_steps.results(self.database, claim, data)) for claim in held]
        if crash:
            with pytest.raises(_Crash), self.database.write() as connection:
                verdicts.record(connection, done, model_sha256="0" * 64, note=True)
                raise _Crash
            return
        with self.database.write() as connection:
            recorded, lost = verdicts.record(connection, done, model_sha256="0" * 64, note=True)
        assert set(held) - set(lost) == live, "only who holds the lease may record, and it must be able to"
        assert {batch.batch_id for batch in recorded} == {claim.batch_id for claim in live}
        for batch in recorded:
            if batch.open == 0 and then_complete:
                self._complete(batch.batch_id)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def hand_back_or_renew(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.claims))
        live = held in self._live_claims()
        with self.database.write() as connection:
            if data.draw(st.booleans()):
                done = leases.release(connection, held, "model_refused", "as told", wait_s=0.0)
            else:
                done = leases.renew(connection, held.chunk_id, held.token, LONG_LEASE_S)
        assert done == live

    # -- what the processes that fetch do ---------------------------------------------------------------------

    @precondition(lambda self: self.batches)
    @rule(most=st.integers(1, 3), outcome=st.sampled_from(["stored", "failed", ""]),
          steered=st.sampled_from(["", "pause", "cancel"]))  # fmt: skip
    def fetch(self, most: int, outcome: str, steered: str) -> None:
        """Claim fetches; a client steers their batches meanwhile; end them with this outcome, if any."""
        paused = {row.id for row in map(self._row, self.batches) if row and row.status == BatchStatus.PAUSED}
        with self.database.write() as connection:
            taken = fetch_rows.claim(connection, most)
        assert not paused & {held.batch_id for held in taken}, "no fetch of a paused batch is begun"
        self.fetches += taken
        for name in [name for name in self.batches if steered and taken]:
            (self.pause if steered == "pause" else self.cancel)(name)
        for held in taken if outcome else ():
            self._end_fetch(held, outcome)

    @precondition(lambda self: self.fetches)
    @rule(data=st.data(), outcome=st.sampled_from(["stored", "failed", "later", "crash"]), late=st.booleans())
    def end_fetch(self, data: st.DataObject, outcome: str, late: bool) -> None:
        """By the holder of the claim, or by one that lost it: the row alone knows. `late`: another claims it before."""
        held = data.draw(st.sampled_from(self.fetches[-4:]))
        if late:
            with self.database.write() as connection:
                fetch_rows.end(connection, held, "late")
                self.fetches += fetch_rows.claim(connection)
        if outcome == "crash":
            with pytest.raises(_Crash), self.database.write() as connection:
                fetch_rows.end(connection, held, "stored")
                raise _Crash
            return
        self._end_fetch(held, outcome)

    # -- what the sweep does ----------------------------------------------------------------------------------

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), swept=st.booleans())
    def lease_ends(self, data: st.DataObject, swept: bool) -> None:
        held = data.draw(st.sampled_from(self.claims))
        with self.database.write() as connection:
            query = select(Chunk.lease_until).where(Chunk.id == held.chunk_id)
            until = connection.scalar(query)
            leases.end_lease(connection, held.chunk_id, held.token, until or 0.0)
        if swept:
            self.sweep()

    @precondition(lambda self: self.batches)
    @rule()
    def sweep(self) -> None:
        with self.database.read() as connection:
            expired = ended_leases(connection)
            late = connection.scalars(
                select(Batch.id).where(
                    Batch.deadline_at < time.time(), Batch.sealed.is_(True), Batch.queued > 0
                )
            ).all()
        for chunk_id in expired:
            with self.database.write() as connection:
                leases.return_expired(connection, chunk_id, _MAX_ATTEMPTS)
        for batch_id in late:
            with self.database.write() as connection:
                closing.expire(connection, batch_id)
        for batch_id in self.batches.values():
            self._complete(batch_id)
        known_steps.note_all(self.database)

    @precondition(lambda self: self.batches)
    @rule(crash=st.booleans())
    def tell(self, crash: bool) -> None:
        for batch_id in self.batches.values():
            if crash:
                with pytest.raises(_Crash), self.database.write() as connection:
                    telling.tell(connection, batch_id)
                    raise _Crash
            with self.database.write() as connection:
                telling.tell(connection, batch_id)
                check_told(connection, whole=False)

    def teardown(self) -> None:
        """No item stays open for ever: two sweeps and honest workers bring every sealed batch to its end."""
        for name in self.batches:
            self.resume(name)
        for _ in range(200):
            with self.database.write() as connection:
                connection.execute(
                    update(Chunk).where(Chunk.status == ChunkStatus.LEASED).values(lease_until=0.0)
                )
            self.sweep()
            with self.database.write() as connection:
                connection.execute(update(Fetch).values(due_at=0.0))
                fetched = [
                    fetch_rows.end(connection, held, "stored") for held in fetch_rows.claim(connection)
                ]
                taken = claim_chunks(connection, 4)
            if not taken and not fetched:
                break
            done = [(held, [result_of(item.seq, 1) for item in held.items]) for held in taken]
            with self.database.write() as connection:
                verdicts.record(connection, done, model_sha256="0" * 64)
        self.sweep()
        for name in self.batches:
            row = self._row(name)
            assert row is not None and (row.finished_at is not None or not row.sealed), row
        self.tell(crash=False)
        with self.database.read() as connection:
            check_told(connection, whole=True)
        self.counters_and_events_agree_with_the_rows()
        self.one_completion_event_for_each_end()
        self.each_part_has_one_verdict_and_one_event()

    def _live_claims(self) -> list[Claim]:
        with self.database.read() as connection:
            leased = connection.execute(
                select(Chunk.id, Chunk.token).where(Chunk.status == ChunkStatus.LEASED)
            ).all()
        return [claim for claim in self.claims if (claim.chunk_id, claim.token) in leased]

    def _end_fetch(self, held: Claimed, outcome: str) -> None:
        with self.database.write() as connection:
            expected = fetch_rows.may_end(connection, held, outcome)
            assert fetch_rows.end(connection, held, outcome) == expected
        self._complete(held.batch_id)
