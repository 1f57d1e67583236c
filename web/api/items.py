"""Items: pages of a batch's items, one item, and every result as a stream."""

from collections.abc import Iterator
from typing import cast

from flask import Blueprint, Response, g, request

from shared.contract.item_pages import ItemPage
from shared.contract.items import ItemPayload
from shared.contract.queries import ItemListQuery, ResultsQuery
from shared.contract.states import FINISHED_BATCH, BatchStatus
from shared.store.engine import Database
from shared.store.records import BatchRecord
from web.http.auth import require
from web.http.operations import operation
from web.http.problems import HttpProblem
from web.resources import batches, items, parquet, results
from web.service import service

blueprint = Blueprint("items", __name__)
_MEDIA_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv", "parquet": parquet.MEDIA_TYPE}
_NO_PARQUET = "this service can't write Parquet, since its extra `gonogo[parquet]` is not installed"


@blueprint.get("/v1/batches/<batch_id>/items")
@require("read")
@operation(
    "A page of a batch's items; of a draft, with the numbers of the parts that have arrived",
    {200: ItemPage},
    query=ItemListQuery,
    problems=(400, 404),
)
def list_items(batch_id: str, query: ItemListQuery) -> ItemPage:
    here = service()
    row = batches.find(here, g.tenant, batch_id)
    draft = batches.draft_of(here, row)  # before its items: those of each part that it names are on the pages
    found = cast(ItemPage, items.page_of(here, row, query))
    if draft is not None:
        found["draft"] = draft
    return found


@blueprint.get("/v1/items/<item_id>")
@require("read")
@operation("An item with its evidence", {200: ItemPayload}, problems=(404,))
def get_item(item_id: str) -> ItemPayload:
    return items.shown(service(), g.tenant, item_id)


@blueprint.get("/v1/batches/<batch_id>/results")
@require("read")
@operation(
    "Every item, streamed in submission order",
    {200: tuple(_MEDIA_TYPES.values())},
    query=ResultsQuery,
    problems=(400, 404, 406, 409, 422),
    headers={"Accept": f"{', '.join(_MEDIA_TYPES.values())}, with weights; `format` goes before it"},
    answer_headers={
        "X-Incomplete": "`true` while the batch runs",
        "X-Revision": "how often the batch has been rescored; a stream that a rescoring overtakes breaks off",
        "Content-Disposition": "a filename",
    },
)
def get_results(batch_id: str, query: ResultsQuery) -> Response:
    here = service()
    row = batches.find(here, g.tenant, batch_id)
    if row.status == BatchStatus.DRAFT:
        raise HttpProblem(409, "wrong_state", f"{batch_id} is a draft: finalize it first")
    form = query.get("format") or _accepted_form()
    if form == "parquet" and not parquet.installed():
        raise HttpProblem(406, "parquet_not_installed", f"{_NO_PARQUET}: ask for ndjson or csv")
    running = row.status not in FINISHED_BATCH
    response = Response(
        _lines(here.database, row, query, form, incomplete=running), mimetype=_MEDIA_TYPES[form]
    )
    name = f"{batch_id}.partial.{form}" if running else f"{batch_id}.{form}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Vary"] = "Accept"
    response.headers["X-Revision"] = str(row.revision)
    if running:
        response.headers["X-Incomplete"] = "true"
    return response


def _lines(
    database: Database, row: BatchRecord, query: ResultsQuery, form: str, *, incomplete: bool
) -> Iterator[bytes]:
    results.place_after(row, query)  # a wrong `after` is refused before the body begins
    if form == "ndjson":
        return results.ndjson(results.blocks(database, row, query, results.ALL))
    found = results.blocks(database, row, query, results.COLUMNS)
    if form == "parquet":
        return parquet.parquet(found, row, incomplete=incomplete)
    return results.csv(found, spreadsheet=query["spreadsheet"], header="after" not in query)


def _accepted_form() -> str:
    """The form that the Accept header weighs most; ndjson where it weighs all alike, is empty or absent."""
    if not request.headers.get("Accept", "").strip():
        return "ndjson"
    forms = [form for form in _MEDIA_TYPES if form != "parquet" or parquet.installed()]
    best = request.accept_mimetypes.best_match([_MEDIA_TYPES[form] for form in forms])
    for form in forms:
        if _MEDIA_TYPES[form] == best:
            return form
    if len(forms) < len(_MEDIA_TYPES) and request.accept_mimetypes.best_match([parquet.MEDIA_TYPE]):
        return "parquet"  # which the caller refuses by name
    raise HttpProblem(406, "unsupported_format", f"results come as {' or '.join(_MEDIA_TYPES.values())}")
