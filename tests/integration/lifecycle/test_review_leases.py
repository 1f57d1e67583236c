"""Claims of the review queue, and the clock of the database."""

from sqlalchemy import update

from shared.clock import now
from shared.store.engine import Database
from shared.store.tables import ReviewEntry
from tests.integration.lifecycle.test_reviews import ANNA, BERT, claim, fill, give, judged


def jump_ahead(database: Database) -> None:
    """Let each lease be one that was given while the clock was 400 days ahead."""
    with database.write() as connection:
        connection.execute(update(ReviewEntry).values(lease_until=now() + 400 * 86_400))


def test_a_lease_that_was_given_under_a_clock_that_ran_ahead_holds_no_item(
    database: Database, model_id: str
) -> None:
    batch_id = judged(database, model_id, ["review"])
    fill(database)
    taken = claim(database, ANNA, "a")
    assert taken is not None and claim(database, BERT, "b") is None
    jump_ahead(database)
    again = claim(database, BERT, "b")
    assert again is not None and again.seq == taken.seq
    jump_ahead(database)
    assert give(database, batch_id, taken.seq, ANNA, "defect") is not None
