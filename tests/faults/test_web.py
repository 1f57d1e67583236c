"""Rows 5 and 6: the web process dies while a batch comes in, or just after it was taken in."""

from collections.abc import Callable

import pytest

from tests.faults.rig import CHUNK_ITEMS, WEBHOOK, Rig
from tests.stack import multipart, until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)


def test_row_06_the_web_dies_after_the_commit_and_before_the_message(ill: Rig, many: Many) -> None:
    ill.restart("web", "Announcer.chunk_queued=kill*1", FAULTS_POINTS="web.announcer:Announcer.chunk_queued")
    # One chunk that is not full is committed with the batch's seal, in one transaction.
    content_type, body = multipart(many(CHUNK_ITEMS - 1), {"webhook": WEBHOOK})
    headers = {"Content_Type": content_type, "Idempotency_Key": f"row-06-{ill.points.name}"}
    with pytest.raises(OSError):
        ill.stack.request("POST", "/v1/batches", body, **headers)
    assert ill.fired("Announcer.chunk_queued") == 1
    with ill.broker() as broker:
        assert broker.llen("normal") == 0, "a message had been sent"
    [batch_id] = ill.sealed() - ill.accepted.keys()
    took = ill.time_until(lambda: ill.batch(batch_id).finished_at is not None, 60, "the sweep announces it")
    ill.proof("the process was killed at the first call of the announcer")
    ill.recovered(took, 15)
    until(ill.web_answers, 60, "the web's parent has started a new process")
    status, answered, again = ill.stack.request("POST", "/v1/batches", body, **headers)
    assert status == 202 and answered["idempotent-replayed"] == "true" and batch_id.encode() in again
    ill.accepted[batch_id] = CHUNK_ITEMS - 1
    ill.restart("web")
    ill.check(most_extra=0)
