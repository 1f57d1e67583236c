"""Rows 5 and 6: the web process dies while a batch comes in, or just after it was taken in."""

import signal
import socket
from collections.abc import Callable

import pytest

from tests.faults.rig import CHUNK_ITEMS, WEBHOOK, Rig
from tests.harness.forms import multipart
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)


@pytest.mark.row(5, quick=("sqlite",))
def test_the_web_is_killed_in_the_middle_of_an_upload(ill: Rig, many: Many) -> None:
    key = f"row-05-{ill.points.name}"
    content_type, body = multipart(many(30 * CHUNK_ITEMS), {"webhook": WEBHOOK})
    head = (
        f"POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ill.stack.key}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {key}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", ill.stack.settings.port)) as half:
        half.sendall(head.encode() + body[: len(body) // 2])
        [unsealed] = until(ill.unsealed, 30, "rows of the unfinished upload")
        ill.stack.kill_group("web", signal.SIGKILL)
    ill.restart("web")
    headers = {"Content_Type": content_type, "Idempotency_Key": key}
    status, _, _ = ill.stack.request("POST", "/v1/batches", body, **headers)
    assert status in (202, 409)  # 409: the dead upload still holds the key, come again

    def accepted() -> bytes | None:
        status, _, again = ill.stack.request("POST", "/v1/batches", body, **headers)
        return again if status == 202 else None

    took = ill.time_until(accepted, 60, "the retry is accepted")
    [batch_id] = ill.sealed() - ill.accepted.keys()
    assert batch_id != unsealed
    ill.accepted[batch_id] = 30 * CHUNK_ITEMS
    ill.proof("half of the body was sent and its first chunks had rows")
    ill.recovered(took, ill.stack.settings.upload_lease_s)
    ill.finish(batch_id)
    until(lambda: not ill.unsealed(), 30, "the sweep removes the unfinished upload")
    ill.check(most_extra=0)


@pytest.mark.row(6, quick=("sqlite",))
def test_the_web_dies_after_the_commit_and_before_the_message(ill: Rig, many: Many) -> None:
    ill.restart(
        "web", "Announcer.chunk_queued=kill*1", FAULTS_POINTS="web.live.announcer:Announcer.chunk_queued"
    )
    # A single chunk that is not full is committed with the batch's seal, in one transaction.
    content_type, body = multipart(many(CHUNK_ITEMS - 1), {"webhook": WEBHOOK})
    headers = {"Content_Type": content_type, "Idempotency_Key": f"row-06-{ill.points.name}"}
    with pytest.raises(OSError):
        ill.stack.request("POST", "/v1/batches", body, **headers)
    assert ill.fired("Announcer.chunk_queued") == 1
    with ill.broker() as broker:
        assert broker.llen(ill.key("normal")) == 0, "a message had been sent"
    [batch_id] = ill.sealed() - ill.accepted.keys()
    took = ill.time_until(lambda: ill.batch(batch_id).finished_at is not None, 60, "the sweep announces it")
    ill.proof("the process was killed at the first call of the announcer")
    ill.recovered(took, 15)
    ill.restart("web")
    status, answered, again = ill.stack.request("POST", "/v1/batches", body, **headers)
    assert status == 202 and answered["idempotent-replayed"] == "true" and batch_id.encode() in again
    ill.accepted[batch_id] = CHUNK_ITEMS - 1
    ill.check(most_extra=0)
