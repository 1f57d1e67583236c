"""Inputs and rows that hurt: image files and archives made to cost memory, and a finished batch of very many items."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import insert

from shared.contract.states import BatchStatus, ItemStatus, Outcome
from shared.ids import new_id
from shared.store.engine import Database
from shared.store.tables import Batch, Item
from tests.harness.archives import zipped

MB = 2**20


def pax_headers(path: Path) -> None:
    """A tar of 200 MB of extended headers, each within its bound, before one member."""
    record = b"65000 key=" + b"x" * (65_000 - 11) + b"\n"
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XGLTYPE, len(record)
    header = info.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512)
    path.write_bytes(gzip.compress(header * (200 * MB // len(header)) + bytes(1024), 1))


def long_name(path: Path) -> None:
    """A tar with a name of 200 MB."""
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 200 * MB
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(200 * MB), 1))


def directory_entries(path: Path) -> None:
    """A zip of half a million directory entries."""
    one = zipped({"d/": b""})
    start = one.find(b"PK\x01\x02")
    entry = one[start : one.find(b"PK\x05\x06")]
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 500_000 * len(entry), start, 0)
    path.write_bytes(one[:start] + entry * 500_000 + end)


def artifact_of_zeros(path: Path, whole: Path) -> None:
    """A whole artifact but for its network: 1 GB of zeros, packed into 1 MB, with the right hash."""
    zeros, blocks = bytes(MB), 1024
    digest = hashlib.sha256()
    with (
        zipfile.ZipFile(whole) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for name in source.namelist():
            if name not in ("manifest.json", "model.onnx"):
                target.writestr(name, source.read(name))
        with target.open("model.onnx", "w") as member:
            for _ in range(blocks):
                member.write(zeros)
                digest.update(zeros)
        manifest = json.loads(source.read("manifest.json"))
        manifest["members"]["model.onnx"] = digest.hexdigest()
        target.writestr("manifest.json", json.dumps(manifest))


def huge_tile() -> bytes:
    """A TIFF of 64 x 64 pixels in one tile of 40,000 x 40,000."""
    tags = [
        (256, 64), (257, 64), (258, 8), (259, 1), (262, 1), (277, 1), (322, 40_000), (323, 40_000),
        (324, 8), (325, 64 * 64),
    ]  # fmt: skip
    body = bytes([90]) * (64 * 64)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(body))
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4)


def scan_bomb() -> bytes:
    """A progressive JPEG of 20 megapixels, whose last scan comes two thousand times."""
    noise = np.random.default_rng(40).integers(0, 256, (400, 500), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((5000, 4000)).save(buffer, "JPEG", progressive=True, quality=5)
    data = buffer.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2][:100]
    return data[:-2] + 2000 * scan + data[-2:]


def hidden_members(path: Path, members: int) -> None:
    """A zip of so many members, none of which is an image; each takes 700 bytes of memory."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(members):
            archive.writestr(f".a-hidden-name-{number:05}.jpg", b"")


def wide_manifest(lines: int) -> bytes:
    """A manifest whose metadata take thirty times their size as objects."""
    rows = (b'%x;{"a":[%s]}\n' % (number, b",".join([b"{}"] * 100)) for number in range(lines))
    return b"filename;metadata\n" + b"".join(rows)


def json_blocks(size: int) -> Iterator[bytes]:
    """A JSON document of so many bytes."""
    block = b'{"url":"https://example.com/a.jpg"},' * 4096
    yield b'{"inputs":['
    for _ in range(size // len(block)):
        yield block
    yield b"{}]}"


BOMBS: dict[str, Callable[[Path], None]] = {
    "200 MB of pax headers": pax_headers,
    "a name of 200 MB": long_name,
    "500,000 directory entries": directory_entries,
}


def finished_batch(database: Database, model_id: str, items: int, **changed: Any) -> str:
    """The rows of a completed batch of the tenant `default`, without bytes."""
    batch_id, at = new_id("bat"), time.time()
    row = {
        "id": batch_id, "tenant": "default", "status": BatchStatus.COMPLETED, "outcome": Outcome.ALL_SUCCEEDED,
        "origin": "batch", "lane": "normal", "sealed": True, "model_id": model_id, "threshold": 0.5,
        "review_low": 0.4, "review_high": 0.6, "metadata_": {}, "on_error": "continue", "created_at": at,
        "started_at": at, "finished_at": at, "retention_s": 3600.0, "retain_until": at + 3600, "total": items,
        "succeeded": items, "no_defect": items, **changed,
    }  # fmt: skip
    rows = [
        {
            "batch_id": batch_id, "seq": seq, "filename": f"line-3/station-7/part-{seq:06}.jpg", "pack": 0,
            "offset": 0, "length": 1, "status": ItemStatus.SUCCEEDED, "attempts": 1, "created_at": at,
            "finished_at": at, "verdict": "no_defect", "score": 0.1, "threshold": 0.5,
        }
        for seq in range(items)
    ]  # fmt: skip
    with database.write() as connection:
        connection.execute(insert(Batch).values(**row))
        connection.execute(insert(Item), rows)
    return batch_id
