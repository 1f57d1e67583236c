"""Items: pages of a batch's items, one item, its thumbnail, and every result as a stream."""

from collections import namedtuple
from collections.abc import Collection, Iterator
from typing import Any

import orjson
from flask import Blueprint, Response, request
from sqlalchemy import and_, func, or_, select

from shared.broker import queues
from shared.contract.csv_columns import CSV_COLUMNS, csv_line
from shared.contract.items import ItemPayload, item_payload
from shared.contract.pages import ListPayload, page
from shared.contract.states import FINISHED_BATCH, ItemStatus, Verdict
from shared.ids import split_item_id
from shared.store.engine import Database
from shared.store.records import ItemRecord
from shared.store.tables import Item
from web.api.batches import find
from web.http import cursors
from web.http.auth import require
from web.http.problems import HttpProblem, not_found
from web.openapi.operations import operation
from web.service import Service, service

blueprint = Blueprint("items", __name__)
_ROWS = Item.__table__
_STREAM_ROWS = 2000
_THUMBNAIL_WAIT_S = 10.0


@blueprint.get("/v1/batches/<batch_id>/items")
@require("read")
@operation(
    "A page of a batch's items",
    {200: list[ItemPayload]},
    query={
        "status": "only items in these states, comma-separated",
        "verdict": "only these verdicts, comma-separated",
        "min_score": "0 to 1",
        "max_score": "0 to 1",
        "custom_id": "only this one",
        "sort": "seq (default), score, or -score: defects first",
        "limit": "1 to 1000, default 100",
        "cursor": "the previous page's next_cursor",
    },
    problems=(400, 404),
)
def list_items(batch_id: str) -> dict[str, Any]:
    here = service()
    find(here, batch_id)
    return dict(page_of(here, batch_id, request.args.get("sort", "seq"), cursors.limit(100, 1000)))


def page_of(here: Service, batch_id: str, sort: str, limit: int) -> ListPayload:
    """A page of a batch's items; the request's query holds the filters and the cursor."""
    query = select(_ROWS).where(Item.batch_id == batch_id, *_filters())
    score: Any = func.coalesce(Item.score, -1.0)
    order: tuple[Any, ...]
    cursor = cursors.decode(int) if sort == "seq" else cursors.decode(float, int)
    if sort == "seq":
        order = (Item.seq,)
        if cursor is not None:
            query = query.where(Item.seq > cursor[0])
    elif sort in ("score", "-score"):
        order = (score.desc() if sort == "-score" else score, Item.seq)
        if cursor is not None:
            beyond = score < cursor[0] if sort == "-score" else score > cursor[0]
            query = query.where(or_(beyond, and_(score == cursor[0], Item.seq > cursor[1])))
    else:
        raise HttpProblem(400, "invalid_parameter", "sort is seq, score or -score")
    with here.database.read() as connection:
        found = connection.execute(query.order_by(*order).limit(limit + 1)).all()
    rows = [ItemRecord._make(row) for row in found]
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        values = [last.seq] if sort == "seq" else [-1.0 if last.score is None else last.score, last.seq]
        following = cursors.encode(values)
    return page([item_payload(row) for row in rows[:limit]], following)


def _filters() -> Iterator[Any]:
    if statuses := request.args.get("status"):
        yield Item.status.in_(_some_of("status", statuses, set(ItemStatus)))
    if verdicts := request.args.get("verdict"):
        yield Item.verdict.in_(_some_of("verdict", verdicts, set(Verdict)))
    if (low := cursors.number("min_score")) is not None:
        yield Item.score >= low
    if (high := cursors.number("max_score")) is not None:
        yield Item.score <= high
    if custom_id := request.args.get("custom_id"):
        yield Item.custom_id == custom_id


def _some_of(name: str, text: str, known: set[Any]) -> list[str]:
    wanted = text.split(",")
    if not set(wanted) <= {str(entry) for entry in known}:
        raise HttpProblem(400, "invalid_parameter", f"{name} is some of {', '.join(sorted(known))}")
    return wanted


@blueprint.get("/v1/items/<item_id>")
@require("read")
@operation("One item", {200: ItemPayload}, problems=(404,))
def get_item(item_id: str) -> dict[str, Any]:
    return dict(item_payload(find_item(service(), item_id)))


def find_item(here: Service, item_id: str) -> ItemRecord:
    """An item of the caller's tenant; raises 404."""
    place = split_item_id(item_id)
    if place is None:
        raise not_found(f"item {item_id}")
    find(here, place[0])
    with here.database.read() as connection:
        row = connection.execute(select(_ROWS).where(Item.batch_id == place[0], Item.seq == place[1])).first()
    if row is None:
        raise not_found(f"item {item_id}")
    return ItemRecord._make(row)


@blueprint.get("/v1/items/<item_id>/thumbnail")
@require("read")
@operation("A small JPEG of the item, made by a worker and kept", {200: "image/jpeg"}, problems=(404, 503))
def get_thumbnail(item_id: str) -> Response:
    here = service()
    row = find_item(here, item_id)
    if row.error_code is not None:
        raise not_found(f"picture to show of item {item_id}: {row.error_code}")
    path = here.blobs.thumbnail_path(row.batch_id, row.seq)

    def look() -> bytes | None:
        return path.read_bytes() if path.exists() else None

    data = look()
    if data is None:
        here.announcer.send(queues.THUMBNAIL, [row.batch_id, row.seq], queues.UPKEEP)
        data = here.waiting.wait(item_id, look, _THUMBNAIL_WAIT_S)
    if data is None:
        raise HttpProblem(503, "thumbnail_pending", "no worker has drawn it yet", retry_after_s=5)
    headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
    return Response(data, content_type="image/jpeg", headers=headers)


@blueprint.get("/v1/batches/<batch_id>/results")
@require("read")
@operation(
    "Every item, streamed in submission order",
    {200: ("application/x-ndjson", "text/csv")},
    query={"format": "ndjson (default) or csv; or say so in Accept"},
    problems=(404, 406),
    answer_headers={"X-Incomplete": "`true` while the batch runs", "Content-Disposition": "a filename"},
)
def get_results(batch_id: str) -> Response:
    here = service()
    row = find(here, batch_id)
    form = request.args.get("format") or _accepted_form()
    streams = {
        "ndjson": (_ndjson, _ROWS.columns.keys(), "application/x-ndjson"),
        "csv": (_csv, ("batch_id", "seq", *CSV_COLUMNS), "text/csv; charset=utf-8"),
    }
    if form not in streams:
        raise HttpProblem(406, "unsupported_format", "format is ndjson or csv")
    write, names, media_type = streams[form]
    response = Response(write(_all_items(here.database, batch_id, names)), content_type=media_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{batch_id}.{form}"'
    if row.status not in FINISHED_BATCH:
        response.headers["X-Incomplete"] = "true"
    return response


def _accepted_form() -> str:
    return "csv" if "text/csv" in request.headers.get("Accept", "") else "ndjson"


def _all_items(database: Database, batch_id: str, names: Collection[str]) -> Iterator[list[Any]]:
    """Blocks of rows by keyset, so that no transaction stays open however slowly the client reads.

    The rows are named tuples of the columns among `names`: a column of SQLAlchemy's Row costs a microsecond to read
    by name, a column of theirs some 0.03.
    """
    columns = [column for column in _ROWS.columns if column.name in names]
    plain: Any = namedtuple("_Item", [column.name for column in columns])  # type: ignore[misc]
    query = select(*columns).where(Item.batch_id == batch_id).order_by(Item.seq).limit(_STREAM_ROWS)
    last = -1
    while True:
        with database.read() as connection:
            rows: list[Any] = [plain._make(row) for row in connection.execute(query.where(Item.seq > last))]
        if not rows:
            return
        last = rows[-1].seq
        yield rows


def _ndjson(blocks: Iterator[list[Any]]) -> Iterator[bytes]:
    for rows in blocks:
        yield b"".join([orjson.dumps(item_payload(row), option=orjson.OPT_APPEND_NEWLINE) for row in rows])


def _csv(blocks: Iterator[list[Any]]) -> Iterator[bytes]:
    yield (",".join(CSV_COLUMNS) + "\r\n").encode()
    for rows in blocks:
        yield "".join([csv_line(row) for row in rows]).encode()
