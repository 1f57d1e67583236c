"""Clients with kept connections, each sending one image a request; one event loop for all of them."""

import asyncio
import json
import time
from collections.abc import Sequence


class Load:
    """`clients` connections that send images until the time is over."""

    def __init__(
        self, port: int, images: Sequence[bytes], *, path: str = "/predict", clients: int = 8
    ) -> None:
        self._port, self._clients = port, clients
        self._requests = [_request(path, image) for image in images]
        self._next = 0

    def run(self, seconds: float, *, poll: bool = False) -> float:
        """Images a second that were answered with 2xx. With `poll` each answer names a task to ask for."""
        return asyncio.run(self._run(seconds, poll))

    async def _run(self, seconds: float, poll: bool) -> float:
        started = time.perf_counter()
        ends = started + seconds
        done = sum(await asyncio.gather(*(self._client(ends, poll) for _ in range(self._clients))))
        return done / (time.perf_counter() - started)

    async def _client(self, ends: float, poll: bool) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        done = 0
        while time.perf_counter() < ends:
            self._next += 1
            body = await _exchange(reader, writer, self._requests[self._next % len(self._requests)])
            if poll:
                await _result(reader, writer, json.loads(body)["task_id"])
            done += 1
        writer.close()
        return done


def _request(path: str, image: bytes) -> bytes:
    body = (
        b'--peer\r\nContent-Disposition: form-data; name="file"; filename="part.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + image + b"\r\n--peer--\r\n"
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=peer\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(f"a peer answered {head[:40]!r} {body[:300]!r}")
    return body


async def _result(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: str) -> None:
    ask = f"GET /result/{task} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    for _ in range(2000):
        if json.loads(await _exchange(reader, writer, ask))["status"] == "SUCCESS":
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"task {task} has no result")
