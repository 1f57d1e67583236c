"""Row 45: clients read a batch while it is deleted, or while its retention ends."""

import contextlib
import socket
import time
from collections.abc import Callable

import pytest
from sqlalchemy import func, select, update

from shared.client.errors import ResultsCut
from shared.registry import activations
from shared.store.tables import Batch, Item
from tests.faults.hostile import finished_batch
from tests.faults.rig import Rig
from tests.harness.processes import until

pytestmark = pytest.mark.timeout(170)
ITEMS = 30_000


def delete_it(ill: Rig, batch_id: str) -> None:
    assert ill.stack.request("DELETE", f"/v1/batches/{batch_id}")[0] == 204


def let_it_outlive(ill: Rig, batch_id: str) -> None:
    with ill.database.write() as connection:
        connection.execute(update(Batch).where(Batch.id == batch_id).values(retain_until=1.0))


WAYS = {"deleted": delete_it, "outlived": let_it_outlive}


class SlowReader:
    """A client that has read the first bytes of an answer, and reads the rest when told."""

    def __init__(self, ill: Rig, path: str) -> None:
        self._sock = socket.socket()
        self._sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14
        )  # so that the server cannot run ahead
        self._sock.settimeout(60)
        self._sock.connect(("127.0.0.1", ill.stack.settings.port))
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ill.stack.key}\r\n\r\n"
        self._sock.sendall(head.encode())
        self.got = bytearray()
        while len(self.got) < 2**16:
            self.got += self._sock.recv(2**14)

    def rest(self) -> bytes:
        """Everything that came, to the end of the answer or of the connection."""
        with self._sock, contextlib.suppress(ConnectionResetError):
            while block := self._sock.recv(2**16):
                self.got += block
                if self.got.endswith(b"0\r\n\r\n"):
                    break
        return bytes(self.got)


def is_gone(ill: Rig, batch_id: str) -> bool:
    with ill.database.read() as connection:
        rows = connection.scalar(select(func.count()).where(Item.batch_id == batch_id))
        return not rows and connection.scalar(select(Batch.id).where(Batch.id == batch_id)) is None


@pytest.mark.row(45)
@pytest.mark.parametrize("way", WAYS)
def test_a_reader_of_a_batch_that_goes_away_sees_that_it_has_not_all(ill: Rig, way: str) -> None:
    with ill.database.read() as connection:
        model_id = str(activations.active_id(connection))
    batch_id = finished_batch(ill.database, model_id, ITEMS)
    there = f"/v1/batches/{batch_id}"
    readers = {form: SlowReader(ill, f"{there}/results?format={form}") for form in ("ndjson", "csv")}
    assert all(reader.got.startswith(b"HTTP/1.1 200") for reader in readers.values())
    with ill.stack.client() as client:
        lines = client.results(batch_id)
        next(lines)
        _, first_page = ill.stack.get(f"{there}/items?limit=1000")
        _, _, page = ill.stack.request("GET", f"/batches/{batch_id}")
        assert b"30\xe2\x80\xaf000" in page
        WAYS[way](ill, batch_id)
        began = time.monotonic()
        until(lambda: is_gone(ill, batch_id), 30, "the batch is gone")
        took = time.monotonic() - began
        with pytest.raises(ResultsCut):
            for _ in lines:
                pass
    rows = {}
    for form, reader in readers.items():
        answer = reader.rest()
        assert not answer.endswith(b"0\r\n\r\n"), f"{form}: an end that looks complete"
        assert b"X-Incomplete" not in answer[:1000]
        rows[form] = answer.count(b"part-")
        assert 0 < rows[form] < ITEMS
    for path in (there, f"{there}/items?limit=1000&cursor={first_page['next_cursor']}", f"{there}/results"):
        assert ill.stack.get(path)[0] == 404, path
    assert ill.stack.request("GET", f"/batches/{batch_id}", Accept="text/html")[0] == 404
    ill.proof(
        f"{way} while four clients read: {rows['ndjson']} and {rows['csv']} of {ITEMS} rows came, both broke off"
    )
    ill.recovered(took, 30)
    ill.check()


@pytest.mark.row(45)
def test_a_poll_that_waits_for_a_batch_that_goes_away_is_told_so(
    ill: Rig, many: Callable[[int], dict[str, bytes]]
) -> None:
    """The batch ends while the poll waits, and is deleted at once: the answer is its end or 404, never an old state."""
    ill.restart("bulk", "worker.claimed=sleep1")
    batch_id = ill.submit(many(4))
    _, headers, _ = ill.stack.request("GET", f"/v1/batches/{batch_id}")
    ill.finish(batch_id)
    delete_it(ill, batch_id)
    ill.accepted.pop(batch_id)
    status, body = ill.stack.get(f"/v1/batches/{batch_id}?wait=20", If_None_Match=headers["etag"])
    assert (status, body["code"]) == (404, "not_found")
    ill.proof("the batch ended and was deleted before a poll that knew an older state of it")
    ill.restart("bulk")
    ill.check()
