"""Uploads to a real web process: many files, large files, and clients that go away."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from shared.blobs.store import BlobStore
from shared.store.tables import Batch, Chunk, Item
from tests.harness.processes import until
from tests.harness.stack import Stack, running

pytestmark = [pytest.mark.timeout(180), pytest.mark.row(32)]
MB = 2**20


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    """A web process and its broker, without a worker."""
    with running(tmp_path_factory.mktemp("s"), [artifact], "web", max_item_bytes=8 * MB) as made:
        until(lambda: alive(made), 60, "the web process answers")
        yield made


def alive(stack: Stack) -> bool:
    try:
        return stack.request("GET", "/livez")[0] == 200
    except OSError:
        return False


def web_memory(stack: Stack) -> int:
    """Resident bytes of gunicorn and its worker."""
    master = psutil.Process(stack.processes["web"].pid)
    return sum(process.memory_info().rss for process in [master, *master.children(recursive=True)])


def post(stack: Stack, content_type: str, blocks: Iterator[bytes], length: int) -> socket.socket:
    """Send a submission block by block and leave the connection open."""
    connection = socket.create_connection(("127.0.0.1", stack.settings.port), 60)
    connection.sendall(
        f"POST /v1/batches HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {stack.key}\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    for block in blocks:
        connection.sendall(block)
    return connection


def head(name: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="images"; filename="{name}"\r\n\r\n'.encode()


FORM, END = "multipart/form-data; boundary=b", b"--b--\r\n"


def left_behind(stack: Stack) -> tuple[int, int, int, int]:
    """(rows of batches, items and chunks, folders of bytes)."""
    database = stack.database
    with database.read() as connection:
        counts = [connection.scalar(select(func.count()).select_from(t)) or 0 for t in (Batch, Item, Chunk)]
    database.dispose()
    return (*counts, len(list(BlobStore(stack.settings.blobs).batch_ids())))  # type: ignore[return-value]


@pytest.fixture
def before(stack: Stack) -> tuple[int, int, int, int]:
    return left_behind(stack)


def test_ten_thousand_and_one_files_in_one_request_are_taken_in_flat_memory(stack: Stack) -> None:
    stack.submit({f"warm-{number}.jpg": b"x" for number in range(500)})
    resident = web_memory(stack)
    batch = stack.submit({f"{number:05d}.jpg": number.to_bytes(4, "big") * 250 for number in range(10_001)})
    assert batch["counts"]["total"] == batch["counts"]["queued"] == 10_001
    assert web_memory(stack) - resident < 24 * MB
    names = [item["filename"] for item in stack.items(batch["id"])]
    assert names == [f"{number:05d}.jpg" for number in range(10_001)]


def test_a_large_request_goes_to_disk_and_not_to_memory(stack: Stack) -> None:
    block = bytes(MB)
    files, size = 48, 4 * MB
    length = files * (len(head("00.bmp")) + size + 2) + len(END)

    def body() -> Iterator[bytes]:
        for number in range(files):
            yield head(f"{number:02d}.bmp")
            for _ in range(size // MB):
                yield block
            yield b"\r\n"
            seen.append(web_memory(stack))
        yield END

    resident = web_memory(stack)
    seen = [resident]
    with post(stack, FORM, body(), length) as connection:
        answer = connection.recv(200)
    assert b" 202 " in answer
    assert max(seen) - resident < 48 * MB  # of 192 that were sent


def test_a_file_over_the_limit_fails_alone_and_the_rest_is_taken(stack: Stack) -> None:
    batch = stack.submit({"a.jpg": b"x", "huge.bmp": bytes(8 * MB + 1), "b.jpg": b"y"})
    assert [item["error"] and item["error"]["code"] for item in stack.items(batch["id"])] == [
        None,
        "too_large",
        None,
    ]
    assert batch["counts"]["failed"] == 1


def test_a_client_that_goes_away_leaves_no_rows_and_no_bytes(stack: Stack, before: tuple[int, ...]) -> None:
    def half() -> Iterator[bytes]:
        for number in range(300):
            yield head(f"{number}.jpg") + bytes(50_000) + b"\r\n"
        yield head("cut.jpg") + b"the begin"

    connection = post(stack, FORM, half(), 100 * MB)
    until(lambda: left_behind(stack) > before, 30, "rows and bytes of the first chunks are there")
    connection.close()
    until(lambda: left_behind(stack) == before, 30, "everything of the broken upload is gone")
    assert alive(stack)


def test_a_client_that_closes_its_half_early_is_told_so(stack: Stack, before: tuple[int, ...]) -> None:
    with post(stack, FORM, iter([head("a.jpg") + b"x"]), 5000) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert b" 400 " in connection.recv(500)
    until(lambda: left_behind(stack) == before, 30, "nothing is left")
