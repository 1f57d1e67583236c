"""The steps of a walk in which persons take items of the review queue, give opinions and take them back."""

import contextlib

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from sqlalchemy import select, update

from shared.contract.reviews import DONE, settled
from shared.lifecycle import review_queue, reviews
from shared.lifecycle.review_queue import Wanted
from shared.lifecycle.reviews import ClaimedByOther, NotReviewable, Reviewer
from shared.lifecycle.shares import Shares
from shared.store.engine import Database
from shared.store.review_records import EntryRecord, OpinionRecord
from shared.store.tables import Batch, Item, Opinion, ReviewEntry

TENANT, SHARES = "t", Shares(0.5, 0.5, 0.3)
_PERSONS = st.sampled_from(["anna", "bert", "cara"])
_VERDICTS = st.sampled_from(["defect", "no_defect"])
_LONG_S = 3600.0  # such a lease ends by a step, never by the clock of a slow machine


class _Crash(Exception):
    """A process that dies before its transaction commits."""


def reviewer(person: str) -> Reviewer:
    return Reviewer(f"key_{person}", person, f"at {person}")


class ReviewSteps:
    """`said` is each opinion that a person was told is noted, by item: (person, verdict, not taken back)."""

    database: Database
    said: dict[tuple[str, int], list[tuple[str, str, bool]]]
    held: dict[str, tuple[str, int]]  # the item that each person was given last

    def _known(self) -> dict[tuple[str, int], list[tuple[str, str, bool]]]:
        """The opinions on items whose batch is there; the walk begins with none."""
        with self.database.read() as connection:
            batches = set(connection.scalars(select(Batch.id)))
        kept = self.__dict__.get("said", {})
        self.said = {place: each for place, each in kept.items() if place[0] in batches}
        self.held = {
            person: place for person, place in self.__dict__.get("held", {}).items() if place[0] in batches
        }
        return self.said

    @rule(person=_PERSONS, crash=st.booleans())
    def take_an_item(self, person: str, crash: bool) -> None:
        """The queue is made as far as it can be; then a person gets an item that no other person has."""
        self._known()
        with self.database.read() as connection:
            unmade = review_queue.unmade(connection, TENANT, Wanted())
        for batch in unmade:
            with self.database.read() as connection:
                stop = review_queue.reach(connection, batch)
            if crash:
                with pytest.raises(_Crash), self.database.write() as connection:
                    review_queue.fill(connection, batch, stop, SHARES)
                    raise _Crash
            with self.database.write() as connection:
                review_queue.fill(connection, batch, stop, SHARES)
                assert not review_queue.fill(connection, batch, stop, SHARES) or stop == batch.at
        who = reviewer(person)
        with self.database.write() as connection:
            entry = review_queue.claim(
                connection, TENANT, Wanted(), key_id=who.key_id, holder=str(who.holder), lease_s=_LONG_S
            )
        if entry is None:
            return
        place = (entry.batch_id, entry.seq)
        assert place not in {other for name, other in self.held.items() if name != person}
        assert (person, True) not in {(name, live) for name, _, live in self.said.get(place, [])}
        self.held[person] = place

    @rule(person=_PERSONS)
    def a_claim_ends(self, person: str) -> None:
        self._known()
        self.held.pop(person, None)
        with self.database.write() as connection:
            ended = update(ReviewEntry).where(ReviewEntry.holder == reviewer(person).holder)
            connection.execute(ended.values(lease_until=0.0))

    @rule(data=st.data(), person=_PERSONS, verdict=_VERDICTS, crash=st.booleans())
    def give_an_opinion(self, data: st.DataObject, person: str, verdict: str, crash: bool) -> None:
        self._known()
        with self.database.read() as connection:
            items = connection.execute(
                select(Item.batch_id, Item.seq).order_by(Item.batch_id, Item.seq)
            ).all()
        if not items:
            return
        own = [self.held[person]] if person in self.held else []
        place = data.draw(st.sampled_from([*(own * 5), *((row[0], row[1]) for row in items)]))
        call = (TENANT, place, reviewer(person), verdict, None, SHARES)
        with contextlib.suppress(ClaimedByOther, NotReviewable):
            if crash:
                with pytest.raises(_Crash), self.database.write() as connection:
                    reviews.give(connection, *call)
                    raise _Crash
            with self.database.write() as connection:
                change = reviews.give(connection, *call)
            if change is None or not change.changed:
                return
            assert place not in {other for name, other in self.held.items() if name != person}
            self.said.setdefault(place, []).append((person, verdict, True))
            self.held = {name: other for name, other in self.held.items() if other != place}
            with self.database.write() as connection:  # the answer was lost, and the client sends it again
                again = reviews.give(connection, *call)
            assert again is not None and not again.changed

    @rule(data=st.data(), person=_PERSONS, crash=st.booleans())
    def take_an_opinion_back(self, data: st.DataObject, person: str, crash: bool) -> None:
        known = self._known()
        if not known:
            return
        place = data.draw(st.sampled_from(sorted(known)))
        call = (TENANT, place, reviewer(person), _LONG_S)
        with contextlib.suppress(ClaimedByOther, NotReviewable):
            if crash:
                with pytest.raises(_Crash), self.database.write() as connection:
                    reviews.take_back(connection, *call)
                    raise _Crash
            with self.database.write() as connection:
                change = reviews.take_back(connection, *call)
            if change is None or not change.changed:
                return
            last = max(number for number, (_, _, live) in enumerate(known[place]) if live)
            assert known[place][last][0] == person
            known[place][last] = (person, known[place][last][1], False)
            self.held[person] = place

    @invariant()
    def each_opinion_is_noted_once_and_entries_follow_them(self) -> None:
        known = self._known()
        with self.database.read() as connection:
            rows = [
                OpinionRecord._make(row)
                for row in connection.execute(select(Opinion.__table__).order_by(Opinion.id))
            ]
            entries = [EntryRecord._make(row) for row in connection.execute(select(ReviewEntry.__table__))]
        found: dict[tuple[str, int], list[tuple[str, str, bool]]] = {}
        for row in rows:
            said = (row.name, row.verdict, row.undone_at is None)
            found.setdefault((row.batch_id, row.seq), []).append(said)
        assert found == known
        for entry in entries:
            live = [verdict for _, verdict, live in known.get((entry.batch_id, entry.seq), []) if live]
            verdict = settled(live, entry.rounds) if live else None
            assert (entry.given, entry.verdict) == (len(live), verdict), entry
            assert (entry.status == DONE) == (verdict is not None), entry
        queued = {(entry.batch_id, entry.seq) for entry in entries}
        assert {place for place, each in known.items() if any(live for *_, live in each)} <= queued
