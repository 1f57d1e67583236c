"""Rows 21 and 32: thousands of broken images, too little memory, too few file descriptors."""

import io
import random
import re
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import psutil
import pytest
from PIL import Image

from shared.errors import ItemErrorCode
from tests.faults.rig import CHUNK_ITEMS, WEBHOOK, Rig
from tests.harness.processes import free_port, until

Many = Callable[[int], dict[str, bytes]]
pytestmark = [pytest.mark.timeout(170), pytest.mark.parametrize("shared", ["sqlite"], indirect=True)]
_KINDS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_RSS_LIMIT = 1_000_000_000


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _bomb(side: int) -> bytes:
    """A PNG of a few kB that declares side x side pixels and holds them."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    line = bytes(side + 1)
    data = b"".join(packer.compress(line) for _ in range(min(side, 2000))) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def corpus(count: int) -> list[bytes]:
    """Images cut off, with flipped bytes, with lengths that lie, bombs, and what is no image at all."""
    chance = random.Random(21)
    whole = []
    for kind in _KINDS:
        buffer = io.BytesIO()
        Image.effect_noise((64, 64), 80).save(buffer, kind)
        whole.append(buffer.getvalue())
    made = [_bomb(side) for side in (7_100, 13_000, 60_000)] + [
        b"GIF89a" + bytes(50),
        b"<svg/>",
        b"%PDF-1.4",
        b"\0" * 9,
    ]
    while len(made) < count:
        data = bytearray(chance.choice(whole))
        way = chance.randrange(3)
        if way == 0:
            data = data[: chance.randrange(1, len(data))]
        else:
            for _ in range(1 if way == 1 else 20):
                data[chance.randrange(min(len(data), 200 if way == 2 else len(data)))] = chance.randrange(256)
        made.append(bytes(data))
    return made


def costly() -> dict[str, bytes]:
    """The largest images that are still decoded, and images that would cost more."""
    buffers: dict[str, bytes] = {}
    pale = Image.new("RGBA", (7000, 7000), (90, 60, 30, 99))
    pale.paste((90, 60, 30, 255), (0, 0, 7000, 1000))  # an image that is pale all over is refused
    for name, image, kind, options in [
        ("largest.webp", Image.new("RGB", (5000, 5000), (90, 60, 30)), "WEBP", {"method": 0}),
        ("largest-rgba.png", pale, "PNG", {"compress_level": 1}),
        ("largest-16-bit.png", Image.new("I;16", (7000, 7000), 900), "PNG", {"compress_level": 1}),
        (
            "largest-progressive.jpg",
            Image.new("RGB", (7000, 7000)),
            "JPEG",
            {"progressive": True, "subsampling": 0},
        ),
        ("too-large.webp", Image.new("RGB", (6000, 6000)), "WEBP", {"method": 0}),
    ]:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        buffers[name] = buffer.getvalue()
    jpeg = buffers["largest-progressive.jpg"]
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return {**buffers, "many-scans.jpg": jpeg[:-2] + 200 * scan + jpeg[-2:]}


@pytest.mark.row(21)
def test_costly_images_stay_within_memory_and_time(ill: Rig) -> None:
    ill.restart("bulk")
    children = ill.stack.children("bulk")
    files = costly()
    largest = 0
    batch_id = ill.submit(files)

    def ended() -> bool:
        nonlocal largest
        largest = max(largest, *(psutil.Process(pid).memory_info().rss for pid in children))
        return ill.batch(batch_id).finished_at is not None

    until(ended, 120, "every image has an answer")
    codes = {item.filename: item.error_code for item in ill.items(batch_id)}
    assert codes == {
        **dict.fromkeys(files, None),
        "largest-16-bit.png": "unsupported_media",
        "too-large.webp": "too_costly",
        "many-scans.jpg": "too_costly",
    }
    assert ill.stack.children("bulk") == children, "a worker died"
    assert largest < _RSS_LIMIT
    ill.proof(f"the largest images of each kind: 0 deaths, {largest >> 20} MB")
    ill.check(most_extra=0)


@pytest.mark.row(21)
def test_thousands_of_broken_images(ill: Rig) -> None:
    ill.restart("bulk")
    children = ill.stack.children("bulk")
    broken = corpus(4005)
    files = {f"{turn}-{place:04d}": data for turn in (1, 2) for place, data in enumerate(broken)}
    batch_id = ill.submit(files)
    largest = 0

    def ended() -> bool:
        nonlocal largest
        largest = max(largest, *(psutil.Process(pid).memory_info().rss for pid in children))
        return ill.batch(batch_id).finished_at is not None

    until(ended, 150, "every image has an answer")
    items = ill.items(batch_id)
    codes = {item.error_code for item in items if item.error_code}
    first, second = items[: len(broken)], items[len(broken) :]
    assert [(item.status, item.error_code, item.verdict) for item in first] == [
        (item.status, item.error_code, item.verdict) for item in second
    ], "the same bytes were answered differently"
    assert codes <= set(get_args(ItemErrorCode)) - {"poison_image", "worker_lost", "timeout"}
    assert ill.stack.children("bulk") == children, "a worker died"
    assert largest < _RSS_LIMIT
    failed = sum(item.status == "failed" for item in items)
    ill.proof(
        f"{len(files)} files, {failed} failed with {', '.join(sorted(codes))}; 0 deaths, {largest >> 20} MB"
    )
    ill.check(most_extra=0)


@pytest.mark.row(21)
def test_out_of_memory_in_decode_and_in_inference(ill: Rig, many: Many) -> None:
    ill.restart("bulk", "worker.decode=memory*2;worker.predict=memory*3")
    children = ill.stack.children("bulk")
    batch = ill.finish(ill.submit(many(6 * CHUNK_ITEMS)))
    assert (ill.fired("worker.decode"), ill.fired("worker.predict")) == (2, 3)
    assert ill.stack.children("bulk") == children, "a worker died"
    assert batch.failed == 2, "only the images whose decode ran out of memory fail"
    ill.proof("2 MemoryErrors in decode, 3 in inference")
    ill.restart("bulk")
    ill.check(most_extra=0)


@pytest.mark.row(32)
def test_few_file_descriptors_suffice_for_300_large_files(ill: Rig) -> None:
    port = free_port()
    command = [
        "sh", "-c", f"ulimit -n 256 && exec {sys.executable} -m web.server",
    ]  # fmt: skip
    ill.stack.spawn("web-b", command, {"GONOGO_PORT": str(port)})
    limits = Path(f"/proc/{ill.stack.processes['web-b'].pid}/limits")
    until(lambda: re.search(r"open files +256 +256 ", limits.read_text()), 10, "the limit is in force")
    data = random.Random(32).randbytes(520_000)
    client = ill.stack.client()
    client = type(client)(f"http://127.0.0.1:{port}", ill.stack.key, patience_s=60)
    batch = client.submit([(f"large-{place}", data) for place in range(300)], options={"webhook": WEBHOOK})
    batch_id = str(batch["id"])
    ill.accepted[batch_id] = 300
    ill.finish(batch_id)
    ill.proof("300 files of 520 kB were accepted by a process of 256 descriptors")
    ill.stack.kill_group("web-b")
    ill.check(most_extra=0)
