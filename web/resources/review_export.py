"""Reviewed images as a zip for training: a folder for each label, and `images.csv` with the groups.

The zip is written as it is sent, so it is never held as a whole. Its directory comes last: a zip that was cut is none.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, bindparam, or_, select
from typing_extensions import Buffer

from shared.blobs.store import BlobStore
from shared.clock import rfc3339
from shared.contract.csv_cells import defused
from shared.contract.image_files import HEAD_BYTES, image_kind
from shared.contract.queries import ReviewExportQuery
from shared.contract.reviews import DONE
from shared.ids import item_id
from shared.store.engine import Database, database_time
from shared.store.tables import Item, ReviewEntry

MEDIA_TYPE = "application/zip"
_AT_ONCE = 50
_COLUMNS = ("file", "label", "group", "sha256", "item", "source", "reviewed_at")
_ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif"}
_ORDER = (ReviewEntry.reviewed_at, ReviewEntry.batch_id, ReviewEntry.seq)
_ROWS = (
    select(
        ReviewEntry.batch_id,
        ReviewEntry.seq,
        ReviewEntry.verdict,
        ReviewEntry.source,
        ReviewEntry.reviewed_at,
        Item.sha256,
        Item.part_id,
        Item.frame,
        Item.pack,
        Item.offset,
        Item.length,
    )
    .join(Item, and_(Item.batch_id == ReviewEntry.batch_id, Item.seq == ReviewEntry.seq))
    .where(
        ReviewEntry.tenant == bindparam("of_tenant"),
        ReviewEntry.status == DONE,
        ReviewEntry.reviewed_at >= bindparam("at"),
        or_(
            ReviewEntry.reviewed_at > bindparam("at"),
            ReviewEntry.batch_id > bindparam("after_batch"),
            and_(ReviewEntry.batch_id == bindparam("after_batch"), ReviewEntry.seq > bindparam("after_seq")),
        ),
    )
    .order_by(*_ORDER)
    .limit(_AT_ONCE)
)


class _Sink:
    """Takes the bytes that the zip writer has made, and hands them on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Buffer) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def flush(self) -> None: ...

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def export(database: Database, blobs: BlobStore, tenant: str, query: ReviewExportQuery) -> Iterator[bytes]:
    """The bytes of the zip: the images that persons have reviewed, those of the oldest reviews first.

    `left_out.csv` names the images that are not in it: one of several in its file, or without bytes any more.
    """
    sink: Any = _Sink()
    named, left_out = _Table(_COLUMNS), _Table(("item", "reason"))
    with zipfile.ZipFile(sink, "w") as archive:
        for row in _rows(database, tenant, query):
            item = item_id(row.batch_id, row.seq)
            data = b"" if row.frame is not None else _bytes(blobs, row)
            kind = image_kind(data[:HEAD_BYTES])
            if kind is None:
                left_out.add((item, "several_images_in_one_file" if row.frame is not None else "no_bytes"))
                continue
            name = f"{row.verdict}/{item}.{_ENDINGS[kind]}"
            at = datetime.fromtimestamp(row.reviewed_at, UTC)
            archive.writestr(zipfile.ZipInfo(name, at.timetuple()[:6]), data)
            named.add(
                (name, row.verdict, row.part_id or "", row.sha256, item, row.source, rfc3339(row.reviewed_at))
            )
            yield sink.taken()
        archive.writestr("images.csv", named.text())
        if left_out.rows:
            archive.writestr("left_out.csv", left_out.text())
    yield sink.taken()


class _Table:
    def __init__(self, columns: tuple[str, ...]) -> None:
        self._text, self.rows = io.StringIO(), 0
        self._writer = csv.writer(self._text)
        self._writer.writerow(columns)

    def add(self, cells: tuple[Any, ...]) -> None:
        self._writer.writerow([defused(cell) if isinstance(cell, str) else cell for cell in cells])
        self.rows += 1

    def text(self) -> str:
        return self._text.getvalue()


def _rows(database: Database, tenant: str, query: ReviewExportQuery) -> Iterator[Any]:
    """Reviewed items in blocks by keyset, so that no transaction stays open however slowly the client reads."""
    rows = _ROWS
    if "batch_id" in query:
        rows = rows.where(ReviewEntry.batch_id == query["batch_id"])
    if "line" in query:
        rows = rows.where(ReviewEntry.line == query["line"])
    with database.read() as connection:
        at = database_time(connection) - query["window"]
    given: dict[str, object] = {"of_tenant": tenant, "at": at, "after_batch": "", "after_seq": -1}
    while True:
        with database.read() as connection:
            found = connection.execute(rows, given).all()
        yield from found
        if len(found) < _AT_ONCE:
            return
        last = found[-1]
        given |= {"at": last.reviewed_at, "after_batch": last.batch_id, "after_seq": last.seq}


def _bytes(blobs: BlobStore, row: Any) -> bytes:
    """The image as it was sent; nothing where its batch was deleted meanwhile."""
    try:
        return blobs.read(row.batch_id, row.pack, row.offset, row.length)
    except FileNotFoundError:
        return b""
