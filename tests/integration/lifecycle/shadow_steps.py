"""The steps of a walk in which candidates score images that have their verdict, as spare work."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from sqlalchemy import select

from shared.contract.states import ItemStatus
from shared.lifecycle import shadows
from shared.lifecycle.shadows import Scored, Taken
from shared.store.engine import Database
from shared.store.tables import Batch, Item, Shadow, ShadowBatch, ShadowScore

_CANDIDATES = st.sampled_from(["mdl_a", "mdl_b"])


class _Crash(Exception):
    """A process that dies before its transaction commits."""


class ShadowSteps:
    """`in_hand` are images that workers took for shadows and have not scored; some of the workers are dead."""

    database: Database
    in_hand: list[Taken]

    @rule(candidate=_CANDIDATES, again=st.booleans())
    def start_a_shadow(self, candidate: str, again: bool) -> None:
        for _ in range(1 + again):
            with self.database.write() as connection:
                shadow, _ = shadows.start(connection, "t", "mdl_state_machine", candidate, 0.7, None)
            assert shadow.stopped_at is None

    @rule(candidate=_CANDIDATES)
    def stop_a_shadow(self, candidate: str) -> None:
        with self.database.read() as connection:
            running = [each for each in shadows.running(connection) if each.candidate_id == candidate]
        assert len(running) <= 1
        for shadow in running:
            with self.database.write() as connection:
                assert shadows.stop(connection, shadow.id, None)
                assert not shadows.stop(connection, shadow.id, None)

    @rule(crash=st.booleans())
    def take_images_for_a_shadow(self, crash: bool) -> None:
        """The sweep lists the ended batches; a worker takes images of one, and may die before its claim commits."""
        with self.database.read() as connection:
            running = shadows.running(connection)
        for shadow in running:
            with self.database.write() as connection:
                shadows.list_batches(connection, shadow, 10)
        if crash:
            with pytest.raises(_Crash), self.database.write() as connection:
                shadows.take(connection)
                raise _Crash
        with self.database.write() as connection:
            taken = shadows.take(connection)
        if taken is not None and taken.items:
            self.in_hand = [*self.__dict__.get("in_hand", []), taken]

    @rule(data=st.data(), crash=st.booleans())
    def keep_shadow_scores(self, data: st.DataObject, crash: bool) -> None:
        """A worker keeps the scores of some images and gives the others back, also of a batch that has gone."""
        if not self.__dict__.get("in_hand"):
            return
        taken = data.draw(st.sampled_from(self.in_hand))
        scored = data.draw(st.integers(0, len(taken.items)))
        scores = [Scored(item.seq, "defect", 0.9) for item in taken.items[:scored]]
        if crash:
            with pytest.raises(_Crash), self.database.write() as connection:
                shadows.keep(connection, taken, scores)
                raise _Crash
            return
        self.in_hand.remove(taken)
        with self.database.write() as connection:
            if scored < len(taken.items):
                shadows.give_back(connection, taken, taken.items[scored].seq)
            shadows.keep(connection, taken, scores)

    @invariant()
    def a_shadow_scores_judged_items_of_batches_that_are_there(self) -> None:
        scored = (
            select(Item.status, Shadow.model_id == Batch.model_id)
            .select_from(ShadowScore)
            .outerjoin(Item, (Item.batch_id == ShadowScore.batch_id) & (Item.seq == ShadowScore.seq))
            .outerjoin(Batch, Batch.id == ShadowScore.batch_id)
            .outerjoin(Shadow, Shadow.id == ShadowScore.shadow_id)
        )
        listed = select(Batch.id, Shadow.stopped_at, ShadowBatch.next_seq).select_from(ShadowBatch)
        listed = listed.outerjoin(Batch, Batch.id == ShadowBatch.batch_id)
        with self.database.read() as connection:
            for status, of_its_model in connection.execute(scored):
                assert (status, bool(of_its_model)) == (ItemStatus.SUCCEEDED, True)
            joined = listed.join(Shadow, Shadow.id == ShadowBatch.shadow_id)
            for batch_id, stopped_at, next_seq in connection.execute(joined):
                assert batch_id is not None, "a purge leaves no listed batch"
                assert stopped_at is None or next_seq < 0, "a stopped shadow has nothing left to score"
