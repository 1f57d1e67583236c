"""The steps of a walk in which an image gets the score of an earlier one with the same bytes."""

from hypothesis import strategies as st
from hypothesis.stateful import invariant
from sqlalchemy import select

from shared.contract.states import ItemStatus
from shared.ids import split_item_id
from shared.lifecycle import known_images
from shared.lifecycle.claims import Claim
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database
from shared.store.tables import Batch, Item, KnownImage
from tests.harness.rows import result_of
from worker.inference.known import result_of_score


def results(database: Database, claim: Claim, data: st.DataObject) -> list[Result]:
    """As a worker has them: by the known score where there is one, else any."""
    first, last = claim.items[0].seq, claim.items[-1].seq
    with database.read() as connection:
        scores = {score.seq: score for score in known_images.scores(connection, claim.batch_id, first, last)}
    return [
        result_of_score(claim, scores[item.seq])
        if item.seq in scores
        else result_of(item.seq, data.draw(st.integers(0, 3)))
        for item in claim.items
    ]


def note_all(database: Database) -> None:
    """As the sweep notes the images of ended batches."""
    with database.read() as connection:
        unknown = known_images.unknown(connection, 10)
    for batch_id in unknown:
        with database.write() as connection:
            assert not known_images.note_more(connection, batch_id)
    with database.read() as connection:
        assert known_images.unknown(connection, 10) == []


class KnownSteps:
    """The conditions of the cache."""

    database: Database

    @invariant()
    def each_known_image_leads_to_the_item_that_was_judged(self) -> None:
        found = (
            select(
                KnownImage.tenant == Batch.tenant,
                KnownImage.model_id == Batch.model_id,
                KnownImage.content == Item.sha256,
                Item.status == ItemStatus.SUCCEEDED,
                Item.score.is_not(None),
                Item.cached_from.is_(None),
            )
            .select_from(KnownImage)
            .outerjoin(Batch, Batch.id == KnownImage.batch_id)
            .outerjoin(Item, (Item.batch_id == KnownImage.batch_id) & (Item.seq == KnownImage.seq))
        )
        with self.database.read() as connection:
            for row in connection.execute(found):
                assert [*row] == [True] * 6

    @invariant()
    def a_cached_item_has_the_score_of_the_item_that_it_names(self) -> None:
        taken = select(Item.cached_from, Item.sha256, Item.score, Item.status).where(
            Item.cached_from.is_not(None)
        )
        with self.database.read() as connection:
            for name, sha256, score, status in connection.execute(taken):
                batch_id, seq = split_item_id(name or "") or ("", 0)
                of = select(Item.sha256, Item.score).where(Item.batch_id == batch_id, Item.seq == seq)
                assert status == ItemStatus.SUCCEEDED
                assert connection.execute(of).first() in (None, (sha256, score))
