"""The web process alone, with a million items in the database: polls, a thousand waiting ones, exports."""

import contextlib
import http.client
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert, select, update

from bench import cpu
from bench.table import Row
from shared.broker.connection import open_broker
from shared.broker.wake import wake
from shared.clock import now
from shared.ids import new_id
from shared.store.tables import Batch, Item, ModelVersion
from tests.harness.forms import multipart
from tests.harness.processes import until
from tests.harness.stack import Stack, running

_ITEMS_A_BATCH = 100_000
_BLOCK = 20_000


@contextlib.contextmanager
def filled(
    folder: Path, artifact: Path, *, items: int = 1_000_000, **changed: Any
) -> Iterator[tuple[Stack, list[str]]]:
    """A web process over a database that holds `items` items; and the ids of their batches.

    The rows are inserted as uploads and workers would leave them; the last batch is still open.
    """
    folder.mkdir(parents=True)
    with running(folder, [artifact], "web", **changed) as stack:
        database = stack.database
        batches = []
        for number in range(items // _ITEMS_A_BATCH):
            with database.write() as connection:
                batches.append(_insert(connection, finished=number < items // _ITEMS_A_BATCH - 1))
        database.dispose()
        until(lambda: _answers(stack), 60, "the web process")
        yield stack, batches


def _answers(stack: Stack) -> bool:
    try:
        return stack.get("/v1/batches?limit=1")[0] == 200
    except OSError:
        return False


def _insert(connection: Connection, *, finished: bool) -> str:
    identifier, at, total = new_id("bat"), now(), _ITEMS_A_BATCH
    model = connection.execute(select(ModelVersion.id, ModelVersion.sha256)).first()
    assert model is not None
    connection.execute(
        insert(Batch).values(
            id=identifier, tenant="default", status="completed" if finished else "processing", origin="batch",
            outcome="all_succeeded" if finished else None, sealed=True, created_at=at, started_at=at, lane="normal",
            finished_at=at if finished else None, model_id=model.id, threshold=0.5, review_low=0.5, review_high=0.5,
            metadata_={"line": "A3"}, on_error="continue", retention_s=1e7, total=total, bytes=17_000 * total,
            retain_until=at + 1e7, succeeded=total - (0 if finished else 1), processing=0 if finished else 1,
            no_defect=total,
        )
    )  # fmt: skip
    for first in range(0, total, _BLOCK):
        rows = [
            {
                "batch_id": identifier, "seq": seq, "filename": f"line-a3/part-{seq:06d}.jpg", "sha256": f"{seq:064x}",
                "pack": seq // 256, "offset": 0, "length": 17_000, "status": "succeeded", "attempts": 1,
                "verdict": "no_defect", "score": (seq % 997) / 997, "threshold": 0.5, "model_sha256": model.sha256,
                "queue_ms": 12.5, "decode_ms": 0.41, "infer_ms": 0.58, "created_at": at, "finished_at": at,
            }
            for seq in range(first, first + _BLOCK)
        ]  # fmt: skip
        connection.execute(insert(Item), rows)
    return identifier


def measure(folder: Path, artifact: Path) -> list[Row]:
    """Every row of this file."""
    with filled(folder, artifact) as (stack, batches):
        return [*_polls(stack, batches[-1]), *_long_polls(stack, batches[-1]), *_exports(stack, batches[0])]


def _asker(stack: Stack, batch_id: str) -> Callable[[dict[str, str], int], tuple[float, str]]:
    """Polls a batch on a kept connection; gives milliseconds and the ETag."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=60)
    headers = {"Authorization": f"Bearer {stack.key}"}

    def ask(more: dict[str, str], expected: int) -> tuple[float, str]:
        started = time.perf_counter()
        connection.request("GET", f"/v1/batches/{batch_id}", headers={**headers, **more})
        answer = connection.getresponse()
        answer.read()
        if answer.status != expected:
            raise RuntimeError(f"a poll was answered {answer.status}")
        return 1000 * (time.perf_counter() - started), answer.headers["ETag"]

    return ask


def _polls(stack: Stack, batch_id: str, *, count: int = 1500) -> list[Row]:
    ask = _asker(stack, batch_id)
    etag = ask({}, 200)[1]
    for _ in range(100):
        ask({}, 200)
    full = [ask({}, 200)[0] for _ in range(count)]
    unchanged = [ask({"If-None-Match": etag}, 304)[0] for _ in range(count)]
    return [
        Row("status poll, 1,000,000 items: full, p99", float(np.percentile(full, 99)), "ms", reach=10, at_most=True,
            note=f"p50 {np.median(full):.2f}"),
        Row("status poll, 1,000,000 items: 304, p99", float(np.percentile(unchanged, 99)), "ms", reach=2, at_most=True,
            note=f"p50 {np.median(unchanged):.2f}"),
    ]  # fmt: skip


def _long_polls(stack: Stack, batch_id: str, *, count: int = 1000) -> list[Row]:
    """`count` clients wait for a change of one batch while 20 submissions go through the same process."""
    _, headers, _ = stack.request("GET", f"/v1/batches/{batch_id}")
    ask = (
        f"GET /v1/batches/{batch_id}?wait=60 HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {stack.key}\r\n"
        f"If-None-Match: {headers['etag']}\r\n\r\n"
    ).encode()
    waiting = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", stack.settings.port), timeout=60)
        client.sendall(ask)
        waiting.append(client)
    time.sleep(2.0)  # until all of them are held
    content_type, body = multipart({f"{number}.jpg": b"\xff\xd8\xff" + bytes(2000) for number in range(100)})
    submits = []
    for _ in range(20):
        started = time.perf_counter()
        status, _, said = stack.request("POST", "/v1/batches", body, Content_Type=content_type)
        submits.append(1000 * (time.perf_counter() - started))
        if status != 202:
            raise RuntimeError(f"a submission beside {count} polls was answered {status}: {said[:200]!r}")
    early = sum(_has_answer(client) for client in waiting)
    ended, others = threading.Event(), []

    def watch() -> None:
        ask = _asker(stack, batch_id)
        while not ended.wait(0.01):
            others.append(ask({}, 200)[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        changed = time.perf_counter()
        database = stack.database
        with database.write() as connection:
            connection.execute(update(Batch).where(Batch.id == batch_id).values(version=Batch.version + 1))
        database.dispose()
        wake(open_broker(stack.settings), batch_id)
        answered = _read_all(waiting)
        woken = time.perf_counter() - changed
    finally:
        ended.set()
        watcher.join()
    if early or answered != count:
        raise RuntimeError(f"{early} of {count} polls were answered too early, {answered} after the change")
    return [
        Row(f"{count:,} long polls on one web process: a submission of 100 images meanwhile",
            float(np.median(submits)), "ms", note=f"slowest {max(submits):.0f}"),
        Row(f"{count:,} long polls: all answered after the change", woken, "s",
            note=f"another client's polls meanwhile {np.median(others):.1f} ms, slowest {max(others):.0f}"),
    ]  # fmt: skip


def _has_answer(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def _read_all(clients: list[socket.socket]) -> int:
    """How many were answered 200 within a minute; closes them."""
    answered, deadline = 0, time.monotonic() + 60
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(1.0):
                assert isinstance(key.fileobj, socket.socket)
                answered += key.fileobj.recv(2**16).startswith(b"HTTP/1.1 200")
                selector.unregister(key.fileobj)
    for client in clients:
        client.close()
    return answered


def _exports(stack: Stack, batch_id: str) -> list[Row]:
    rows = []
    for form, reach in (("csv", 50_000), ("ndjson", 40_000)):
        runs = [_export(stack, batch_id, form) for _ in range(3)]
        speed = float(np.median([_ITEMS_A_BATCH / seconds for seconds, _, _ in runs]))
        warm, grown = (float(np.median([run[place] for run in runs])) / 2**20 for place in (1, 2))
        rows += [
            Row(f"export of {_ITEMS_A_BATCH:,} rows: {form}", speed, "rows/s", reach=reach),
            Row(f"export of {_ITEMS_A_BATCH:,} rows: {form}, memory from the first quarter's peak to the end's", grown,
                "MB", reach=2.0, at_most=True, note=f"{warm:+.1f} MB in the first quarter"),
        ]  # fmt: skip
    return rows


def _export(stack: Stack, batch_id: str, form: str) -> tuple[float, float, float]:
    """Seconds; how far the web process's memory rose in the first quarter of the rows; how far after it. Memory
    that is flat rises with the first blocks and no more, however many rows follow."""
    pids = cpu.family(stack.processes["web"].pid)
    before = cpu.resident_bytes(pids)
    lines, ended, samples = 0, threading.Event(), [(0, before)]

    def watch() -> None:
        while not ended.wait(0.02):
            samples.append((lines, cpu.resident_bytes(pids)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    try:
        with socket.create_connection(("127.0.0.1", stack.settings.port), timeout=60) as client:
            client.sendall(
                f"GET /v1/batches/{batch_id}/results?format={form} HTTP/1.1\r\nHost: bench\r\n"
                f"Authorization: Bearer {stack.key}\r\nConnection: close\r\n\r\n".encode()
            )
            marker = f"itm_{batch_id[4:]}".encode()
            rest = b""
            while block := client.recv(2**18):
                text = rest + block
                lines += text.count(marker)
                rest = text[-len(marker) + 1 :]
    finally:
        ended.set()
        watcher.join()
    seconds = time.perf_counter() - started
    if lines != _ITEMS_A_BATCH:
        raise RuntimeError(f"{lines} rows were exported")
    early = max(resident for done, resident in samples if done <= _ITEMS_A_BATCH / 4)
    return seconds, early - before, max(resident for _, resident in samples) - early
