"""Drawings of an item: thumbnail, whole image and heatmap, each made by a worker at the first request and kept."""

from flask import Blueprint, Response, g, request

from shared.blobs.store import Drawing
from shared.broker import queues
from web.http.auth import require
from web.http.operations import operation
from web.http.problems import HttpProblem, not_found
from web.resources import items
from web.service import service

blueprint = Blueprint("drawings", __name__)
_WAIT_S = 10.0
_ASKED = "gonogo.drawing_asked"


@blueprint.get("/v1/items/<item_id>/thumbnail")
@require("read")
@operation("A small JPEG of the item, made by a worker and kept", {200: "image/jpeg"}, problems=(404, 503))
def get_thumbnail(item_id: str) -> Response:
    return _drawing("thumbnail", item_id, queues.UPKEEP)


@blueprint.get("/v1/items/<item_id>/image")
@require("read")
@operation(
    "The whole image as a JPEG, redrawn by a worker and kept: at most 4096 pixels a side",
    {200: "image/jpeg"},
    problems=(404, 503),
)
def get_image(item_id: str) -> Response:
    return _drawing("image", item_id, queues.UPKEEP)


@blueprint.get("/v1/items/<item_id>/heatmap")
@require("read")
@operation(
    "A transparent PNG to lay over the image: the redder, the more a place speaks for a defect. A worker paints "
    "places over, and measures how far the score falls",
    {200: "image/png"},
    problems=(404, 503),
)
def get_heatmap(item_id: str) -> Response:
    return _drawing("heatmap", item_id, queues.DRAWINGS)


def _drawing(kind: Drawing, item_id: str, queue: str) -> Response:
    """The drawing if it is kept; else a worker is asked for it, and the request waits a little."""
    here = service()
    row = items.find(here, g.tenant, item_id)
    if row.error_code is not None:
        raise not_found(f"{kind} of item {item_id}: {row.error_code}")
    if row.sha256 is None:
        raise not_found(f"{kind} of item {item_id}: its bytes have not come yet")
    if kind == "heatmap" and row.verdict is None:
        raise not_found(f"heatmap of item {item_id}: it has no verdict")
    path = here.blobs.drawing_path(kind, row.batch_id, row.seq)
    data = path.read_bytes() if path.exists() else None
    if data is None:
        if not request.environ.get(_ASKED):
            request.environ[_ASKED] = True
            here.announcer.send(queues.DRAW, [kind, row.batch_id, row.seq], queue)
        here.waiting.hold(request.environ, item_id, _WAIT_S)
    if data is None:
        raise HttpProblem(503, "drawing_pending", f"no worker has drawn the {kind} yet", retry_after_s=5)
    headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
    return Response(data, content_type=f"image/{'png' if kind == 'heatmap' else 'jpeg'}", headers=headers)
