"""Items: pages of a batch's items, one item, its thumbnail, and every result as a stream."""

from collections import namedtuple
from collections.abc import Collection, Iterator
from typing import Any

import orjson
from flask import Blueprint, Response, g, request
from sqlalchemy import select

from shared.broker import queues
from shared.contract.csv_columns import CSV_COLUMNS, csv_line
from shared.contract.items import ItemPayload, item_payload
from shared.contract.pages import Page
from shared.contract.queries import ItemListQuery, ResultsQuery
from shared.contract.states import FINISHED_BATCH, BatchStatus
from shared.lifecycle import judges
from shared.lifecycle.judges import Judges
from shared.store.engine import Database
from shared.store.records import BatchRecord, JudgeRecord
from shared.store.tables import Item
from web.http.auth import require
from web.http.operations import operation
from web.http.problems import HttpProblem, not_found
from web.resources import batches, items
from web.service import service

blueprint = Blueprint("items", __name__)
_ROWS = Item.__table__
_STREAM_ROWS = 2000
_THUMBNAIL_WAIT_S = 10.0
_ASKED = "gonogo.thumbnail_asked"
_MEDIA_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv"}


@blueprint.get("/v1/batches/<batch_id>/items")
@require("read")
@operation("A page of a batch's items", {200: Page[ItemPayload]}, query=ItemListQuery, problems=(400, 404))
def list_items(batch_id: str, query: ItemListQuery) -> dict[str, Any]:
    here = service()
    return dict(items.page_of(here, batches.find(here, g.tenant, batch_id), query))


@blueprint.get("/v1/items/<item_id>")
@require("read")
@operation("One item", {200: ItemPayload}, problems=(404,))
def get_item(item_id: str) -> dict[str, Any]:
    return dict(items.shown(service(), g.tenant, item_id))


@blueprint.get("/v1/items/<item_id>/thumbnail")
@require("read")
@operation("A small JPEG of the item, made by a worker and kept", {200: "image/jpeg"}, problems=(404, 503))
def get_thumbnail(item_id: str) -> Response:
    here = service()
    row = items.find(here, g.tenant, item_id)
    if row.error_code is not None:
        raise not_found(f"image to show of item {item_id}: {row.error_code}")
    path = here.blobs.thumbnail_path(row.batch_id, row.seq)

    data = path.read_bytes() if path.exists() else None
    if data is None:
        if not request.environ.get(_ASKED):
            request.environ[_ASKED] = True
            here.announcer.send(queues.THUMBNAIL, [row.batch_id, row.seq], queues.UPKEEP)
        here.waiting.hold(request.environ, item_id, _THUMBNAIL_WAIT_S)
    if data is None:
        raise HttpProblem(503, "thumbnail_pending", "no worker has drawn it yet", retry_after_s=5)
    headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
    return Response(data, content_type="image/jpeg", headers=headers)


@blueprint.get("/v1/batches/<batch_id>/results")
@require("read")
@operation(
    "Every item, streamed in submission order",
    {200: tuple(_MEDIA_TYPES.values())},
    query=ResultsQuery,
    problems=(400, 404, 406, 409),
    headers={"Accept": "application/x-ndjson or text/csv, with weights; `format` goes before it"},
    answer_headers={"X-Incomplete": "`true` while the batch runs", "Content-Disposition": "a filename"},
)
def get_results(batch_id: str, query: ResultsQuery) -> Response:
    here = service()
    row = batches.find(here, g.tenant, batch_id)
    if row.status == BatchStatus.DRAFT:
        raise HttpProblem(409, "wrong_state", f"{batch_id} is a draft: finalize it first")
    form = query.get("format") or _accepted_form()
    lines: Iterator[bytes]
    if form == "csv":
        names = ("batch_id", "seq", "judge_id", *CSV_COLUMNS)
        lines = _csv(_all_items(here.database, row, names), spreadsheet=query["spreadsheet"])
    else:
        lines = _ndjson(_all_items(here.database, row, _ROWS.columns.keys()))
    response = Response(lines, mimetype=_MEDIA_TYPES[form])
    running = row.status not in FINISHED_BATCH
    name = f"{batch_id}.partial.{form}" if running else f"{batch_id}.{form}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Vary"] = "Accept"
    if running:
        response.headers["X-Incomplete"] = "true"
    return response


def _accepted_form() -> str:
    """The form that the Accept header weighs most; ndjson where it weighs both alike, is empty or absent."""
    if not request.headers.get("Accept", "").strip():
        return "ndjson"
    best = request.accept_mimetypes.best_match(_MEDIA_TYPES.values())
    for form, media_type in _MEDIA_TYPES.items():
        if media_type == best:
            return form
    raise HttpProblem(406, "unsupported_format", f"results come as {' or '.join(_MEDIA_TYPES.values())}")


class _CutShort(Exception):
    """Ends the connection without the body's end, by which the client sees that the results are not whole."""


def _all_items(
    database: Database, batch: BatchRecord, names: Collection[str]
) -> Iterator[tuple[list[Any], Judges]]:
    """Blocks of rows by keyset, so that no transaction stays open however slowly the client reads.

    Raises _CutShort at the end if rows are missing, since the batch was deleted while they were read.

    The rows are named tuples of the columns among `names`: a column of SQLAlchemy's Row costs a microsecond to read
    by name, a column of theirs some 0.03.
    """
    columns = [column for column in _ROWS.columns if column.name in names]
    plain: Any = namedtuple("_Item", [column.name for column in columns])  # type: ignore[misc]
    query = select(*columns).where(Item.batch_id == batch.id).order_by(Item.seq).limit(_STREAM_ROWS)
    known: dict[int, JudgeRecord] = {}
    last, sent = -1, 0
    while True:
        with database.read() as connection:
            rows: list[Any] = [plain._make(row) for row in connection.execute(query.where(Item.seq > last))]
            judges.of(connection, rows, known)
        if not rows:
            if sent != batch.total:
                raise _CutShort(
                    f"{sent} of {batch.total} items of {batch.id} were there: it was deleted meanwhile"
                )
            return
        last = rows[-1].seq
        sent += len(rows)
        yield rows, known


def _ndjson(blocks: Iterator[tuple[list[Any], Judges]]) -> Iterator[bytes]:
    for rows, known in blocks:
        lines = [orjson.dumps(item_payload(row, known), option=orjson.OPT_APPEND_NEWLINE) for row in rows]
        yield b"".join(lines)


def _csv(blocks: Iterator[tuple[list[Any], Judges]], *, spreadsheet: bool) -> Iterator[bytes]:
    yield (",".join(CSV_COLUMNS) + "\r\n").encode()
    for rows, known in blocks:
        yield "".join([csv_line(row, known, spreadsheet=spreadsheet) for row in rows]).encode()
