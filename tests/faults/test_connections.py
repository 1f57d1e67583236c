"""Row 39: two thousand connections of each kind that take their time, while others are served."""

import resource
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from shared.registry import activations
from tests.faults.hostile import finished_batch
from tests.faults.rig import Rig, rig
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(800)
EACH = 2_000
LIVEZ_S, POLL_S = 0.1, 0.25
# Shares of the speed without a crowd: by the web's CPU time, which other programs hardly change, and by the clock,
# which shows uploads that wait.
UPLOAD_SHARE, CLOCK_SHARE = 0.9, 0.5
ITEMS, ROUNDS, UPLOADS_S, UPLOADS = 20_000, 3, 0.8, 8
SLACK_S = 45.0  # after a deadline: two thousand answers are computed and sent, on a machine that may be busy


class Crowd:
    """Connections of one kind: each has sent the same bytes and reads nothing."""

    def __init__(self, port: int, data: bytes, few: bytes = b"") -> None:
        self._sockets = []
        for number in range(EACH):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**12)
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            sock.send(few if few and number % 20 == 0 else data)
            self._sockets.append(sock)
        self.ports = {sock.getsockname()[1] for sock in self._sockets}

    def held(self, web: psutil.Process) -> int:
        """How many of them the server holds."""
        there = {
            each.raddr.port
            for each in web.net_connections("tcp")
            if each.raddr and each.status == "ESTABLISHED"
        }
        return len(there & self.ports)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


def is_empty(crowd: Crowd, web: psutil.Process) -> bool:
    return crowd.held(web) == 0


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5 * EACH + 1000:
        pytest.skip(f"needs {5 * EACH + 1000} open files, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def took(ask: Callable[[], tuple[int, object]], expected: int) -> float:
    began = time.monotonic()
    assert ask()[0] == expected
    return time.monotonic() - began


class Cost(NamedTuple):
    """Seconds of an upload."""

    cpu: float
    clock: float


def share(rounds: list[tuple[Cost, Cost]]) -> Cost:
    """The speed of uploads with a crowd, as a share of that without: the medians over rounds of (without, with)."""
    return Cost(
        statistics.median(alone.cpu / crowded.cpu for alone, crowded in rounds),
        statistics.median(alone.clock / crowded.clock for alone, crowded in rounds),
    )


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[round(share * (len(times) - 1))]


def requests(ill: Rig, waiting: str, large: str) -> dict[str, tuple[bytes, bytes, float]]:
    """By kind: the bytes, those of every twentieth connection, and the seconds until all of them have ended."""
    key = f"Authorization: Bearer {ill.stack.key}\r\n"
    form = "Content-Type: multipart/form-data; boundary=xx\r\n"
    part = b'--xx\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
    post = "POST /v1/batches HTTP/1.1\r\nHost: x\r\n"

    def get(path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{key}\r\n".encode()

    def upload(length: int, sent: int) -> bytes:
        return f"{post}{key}{form}Content-Length: {length}\r\n\r\n".encode() + part + b"x" * sent

    half_body = f"{post}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{".encode()
    return {
        "half headers": (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"", 15),
        "half bodies": (half_body, b"", 30 + 20),
        "silent uploads": (upload(50_000, 20_000), upload(900_000, 300_000), 30 + 20),
        "waiting polls": (get(f"/v1/batches/{waiting}?wait=45"), b"", 45),
        "unread results": (get(f"/v1/batches/{large}/results"), b"", 60),
    }


@pytest.mark.row(39)
def test_two_thousand_connections_of_each_kind_hold_up_nobody(
    artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig], many_files: None
) -> None:
    """Each crowd alone, for its cost to uploads; then they add up: the last one comes while those before are there, or
    have met their deadline."""
    with rig(tmp_path, [artifact], processes=("web", "sweep")) as ill:
        report_rig(ill)
        with ill.database.read() as connection:
            model_id = str(activations.active_id(connection))
        large = finished_batch(ill.database, model_id, ITEMS)
        waiting = ill.submit(many(1))
        web = psutil.Process(ill.stack.processes["web"].pid)
        load = {name: data + bytes(200_000) for name, data in many(50).items()}

        def uploads() -> Cost:
            """An upload of 10 MB, in the mean of UPLOADS and more that come one after the other."""
            began, before, count = time.monotonic(), web.cpu_times(), 0
            while count < UPLOADS or time.monotonic() - began < UPLOADS_S:
                ill.submit(load)
                count += 1
            took_s, after = time.monotonic() - began, web.cpu_times()
            return Cost((after.user + after.system - before.user - before.system) / count, took_s / count)

        def settle() -> None:
            """Until the server has taken in the crowd: 2,000 requests at once are work for some seconds, held ones are
            none. Half headers are held for ten seconds only."""
            until(lambda: took(lambda: ill.stack.get("/livez"), 200) < LIVEZ_S, 20, "the burst is over")
            for _ in range(8):
                if web.cpu_percent(0.5) < 40:
                    return

        def find_places(alone: Cost) -> None:
            """Until uploads are quick again: silent ones take all places at first, and keep each until it is wanted and
            they have been quiet for two seconds. Goes on after 20 s: the costs then show it."""
            quick, ends_at = 0, time.monotonic() + 20
            while quick < 3 and time.monotonic() < ends_at:
                began = time.monotonic()
                ill.submit(load)
                quick = quick + 1 if time.monotonic() - began < 2 * alone.clock else 0

        def share_with(data: bytes, few: bytes) -> Cost:
            """The share for a crowd that comes and goes: in turns, since machines drift."""
            rounds = []
            for _ in range(ROUNDS):
                settle()  # the crowd before has left, and its requests end
                alone = uploads()
                crowd = Crowd(ill.stack.settings.port, data, few)
                settle()
                if few:
                    find_places(alone)
                rounds.append((alone, uploads()))
                crowd.close()
                until(partial(is_empty, crowd, web), 60, "the crowd has left")
            return share(rounds)

        kinds = requests(ill, waiting, large)
        shares = {kind: share_with(data, few) for kind, (data, few, _) in kinds.items()}
        told, crowds, slow = [], [], []
        for kind, (data, few, ends_s) in kinds.items():
            crowd = Crowd(ill.stack.settings.port, data, few)
            crowds.append((kind, crowd, time.monotonic() + ends_s))
            burst = took(lambda: ill.stack.get("/livez"), 200)
            settle()
            held = crowd.held(web)
            livez, polls = [], []
            for _ in range(40):
                livez.append(took(lambda: ill.stack.get("/livez"), 200))
                polls.append(took(lambda: ill.stack.get(f"/v1/batches/{waiting}"), 200))
            told.append(
                f"{kind}: {held} held; /livez {1000 * statistics.median(livez):.0f} ms"
                f" (95 % {1000 * percentile(livez, 0.95):.0f}, first {1000 * burst:.0f}),"
                f" poll {1000 * statistics.median(polls):.0f} ms (95 % {1000 * percentile(polls, 0.95):.0f}),"
                f" upload {shares[kind].cpu:.2f} by CPU time, {shares[kind].clock:.2f} by the clock"
            )
            slow += [
                f"{kind}: {what}"
                for what, good in {
                    "not held": held > 0.9 * EACH or kind == "unread results",
                    "/livez": percentile(livez, 0.95) <= LIVEZ_S,
                    "poll": percentile(polls, 0.95) <= POLL_S,
                    "upload": shares[kind].cpu >= UPLOAD_SHARE,
                    "upload waits": shares[kind].clock >= CLOCK_SHARE,
                }.items()
                if not good
            ]
        ill.proof("; ".join(told))
        for kind, crowd, ends_at in crowds:
            left_s = max(ends_at - time.monotonic(), 0.0) + SLACK_S
            until(partial(is_empty, crowd, web), left_s, f"{kind} end at their deadline; seen: {told}")
            crowd.close()
        assert not slow, [slow, told]
        ill.stack.request("DELETE", f"/v1/batches/{large}")
        ill.restart("bulk")
        for batch_id in ill.accepted:
            ill.finish(batch_id)
        ill.check(most_extra=0)
