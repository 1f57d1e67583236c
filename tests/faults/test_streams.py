"""Row 39: two thousand open streams of events, of a batch that rests and of one under way, while others are served."""

import selectors
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.rig import Rig, rig
from tests.faults.test_connections import EACH, LIVEZ_S, POLL_S, many_files, percentile, took
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(400)
ITEMS = 20_000
__all__ = ["many_files"]


class Streams:
    """Open streams of one batch, read as what they send arrives."""

    def __init__(self, ill: Rig, batch_id: str, number: int) -> None:
        self.got: dict[socket.socket, bytes] = {}
        self._ready = selectors.DefaultSelector()
        head = f"GET /v1/batches/{batch_id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ill.stack.key}\r\n\r\n"
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", ill.stack.settings.port), timeout=20)
            sock.sendall(head.encode())
            sock.setblocking(False)
            self._ready.register(sock, selectors.EVENT_READ)
            self.got[sock] = b""

    def read(self, seconds: float = 0.0) -> None:
        """Take what has come, and what comes meanwhile."""
        ends_at = time.monotonic() + seconds
        while True:
            for key, _ in self._ready.select(max(0.0, ends_at - time.monotonic())):
                sock: Any = key.fileobj
                self.got[sock] += sock.recv(2**18)
            if time.monotonic() >= ends_at:
                return

    def saw(self, text: bytes) -> int:
        """How many of them have had this."""
        self.read()
        return sum(text in got for got in self.got.values())

    def close(self) -> None:
        for sock in self.got:
            sock.close()


@pytest.mark.row(39)
def test_two_thousand_open_streams_hold_up_nobody_and_tell_everybody_the_end(
    artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig], many_files: None
) -> None:
    with rig(tmp_path, [artifact], processes=("web", "sweep")) as ill:
        report_rig(ill)
        batch_id, other = ill.submit(many(ITEMS)), ill.submit(many(1))
        web = psutil.Process(ill.stack.processes["web"].pid)
        before = web.num_threads()
        streams, told = Streams(ill, batch_id, EACH), []

        def others(when: str) -> tuple[float, float]:
            livez, polls = [], []
            for _ in range(60):
                livez.append(took(lambda: ill.stack.get("/livez"), 200))
                polls.append(took(lambda: ill.stack.get(f"/v1/batches/{other}"), 200))
                streams.read(0.02)
            told.append(
                f"{when}: /livez {1000 * statistics.median(livez):.0f} ms (95 % {1000 * percentile(livez, 0.95):.0f}),"
                f" poll {1000 * statistics.median(polls):.0f} ms (95 % {1000 * percentile(polls, 0.95):.0f})"
            )
            return percentile(livez, 0.95), percentile(polls, 0.95)

        try:
            until(lambda: streams.saw(b"event: batch.created") == EACH, 60, "every stream has begun")
            livez_s, poll_s = others("at rest")
            threads = web.num_threads() - before
            ill.restart("bulk")
            until(lambda: streams.saw(b"event: batch.started") == EACH, 60, "every stream saw the start")
            working = others("under way")
            row = ill.finish(batch_id, 150)
            ended = time.monotonic()
            until(lambda: streams.saw(b"event: end") == EACH, 30, "every stream saw the end")
            late = time.monotonic() - ended
        finally:
            streams.close()
        progress = [got.count(b"event: batch.progress") for got in streams.got.values()]
        assert row.started_at is not None and row.finished_at is not None
        lasted = row.finished_at - row.started_at
        ill.proof(
            f"{'; '.join(told)}; {threads} more threads; {statistics.median(progress):.0f} messages of progress"
            f" in {lasted:.0f} s; the end reached all within {late:.1f} s"
        )
        assert max(progress) <= lasted + 2
        assert threads < 80, "a stream holds no thread"
        ill.check(most_extra=0)
        assert livez_s <= LIVEZ_S, told
        assert poll_s <= POLL_S, told
        assert working[0] <= LIVEZ_S, told
        assert working[1] <= POLL_S, told
