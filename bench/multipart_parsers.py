"""Our multipart parser against two libraries on one body of 10,000 images: `python -m bench.multipart_parsers`.

Figures are CPU time in microseconds for each part, the best of five rounds taken in turns, and the ratio to ours.
"""

import importlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import multipart

from web.upload.body import BLOCK
from web.upload.multipart import MultipartScanner

# Only the `bench` extra installs it, and type checks run without that extra.
_PYTHON_MULTIPART: Any = importlib.import_module("python_multipart.multipart")
_PARTS, _SIZE, _ROUNDS = 10_000, 17 * 1024, 5
_BOUNDARY = "----a1b2c3d4e5f6"
_HEADER = b'Content-Disposition: form-data; name="images"; filename="part-%05d.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
Counts = tuple[int, int]


def blocks() -> list[bytes]:
    """The body as it comes from a socket."""
    images = [os.urandom(_SIZE) for _ in range(16)]
    start = f"--{_BOUNDARY}".encode()
    body = b"".join(
        start + b"\r\n" + _HEADER % number + images[number % len(images)] + b"\r\n"
        for number in range(_PARTS)
    )
    body += start + b"--\r\n"
    return [body[at : at + BLOCK] for at in range(0, len(body), BLOCK)]


def ours(body: Sequence[bytes]) -> Counts:
    parts = size = 0

    def begin(_name: str, _filename: str) -> None:
        nonlocal parts
        parts += 1

    def data(view: memoryview) -> None:
        nonlocal size
        size += len(view)

    scanner = MultipartScanner(_BOUNDARY, begin, data, lambda: None)
    for block in body:
        scanner.feed(block)
    return parts, size


def push_parser(body: Sequence[bytes]) -> Counts:
    """PyPI `multipart`."""
    parts = size = 0
    parser = multipart.PushMultipartParser(_BOUNDARY)
    for block in body:
        for event in parser.parse(block):
            if isinstance(event, multipart.MultipartSegment):
                parts += 1
            elif event:
                size += len(event)
    return parts, size


def callbacks(body: Sequence[bytes]) -> Counts:
    """PyPI `python-multipart`, with a header's value read as an upload must read it."""
    parts = size = 0
    field, headers = b"", {}

    def on_field(data: bytes, start: int, end: int) -> None:
        nonlocal field
        field = data[start:end]

    def on_value(data: bytes, start: int, end: int) -> None:
        headers[field] = data[start:end]

    def on_headers() -> None:
        nonlocal parts
        parts += 1
        _PYTHON_MULTIPART.parse_options_header(headers[b"Content-Disposition"])

    def on_data(_data: bytes, start: int, end: int) -> None:
        nonlocal size
        size += end - start

    found: dict[str, Callable[..., Any]] = {
        "on_header_field": on_field,
        "on_header_value": on_value,
        "on_headers_finished": on_headers,
        "on_part_data": on_data,
    }
    parser = _PYTHON_MULTIPART.MultipartParser(_BOUNDARY.encode(), found)
    for block in body:
        parser.write(block)
    return parts, size


def main() -> None:
    body, best = blocks(), dict[str, float]()
    for _ in range(_ROUNDS):
        for parse in (ours, push_parser, callbacks):
            started = time.process_time()
            counts = parse(body)
            took = time.process_time() - started
            if counts != (_PARTS, _PARTS * _SIZE):
                raise AssertionError(f"{parse.__name__} saw {counts}")
            best[parse.__name__] = min(took, best.get(parse.__name__, took))
    for name, took in best.items():
        print(f"{name:12} {1e6 * took / _PARTS:6.2f} µs a part   {took / best['ours']:.2f} of ours")


if __name__ == "__main__":
    main()
