"""Reviews: the queue of items that persons look at, and their verdicts."""

from flask import Blueprint, Response, g

from shared.contract.items import ItemPayload
from shared.contract.pages import Page
from shared.contract.queries import ReviewExportQuery, ReviewListQuery
from shared.contract.review_tasks import ReviewTaskPayload
from shared.contract.reviews import ClaimRequest, ReviewEntryPayload, ReviewRequest, SkipRequest
from shared.lifecycle.review_queue import Wanted
from web.http.auth import require
from web.http.callers import caller
from web.http.operations import operation
from web.resources import review_export, review_lists, reviews
from web.service import service

blueprint = Blueprint("reviews", __name__)
_BODY = (400, 413, 415)


@blueprint.get("/v1/reviews")
@require("review")
@operation(
    "A page of the review queue, as far as it is made: it grows when a person asks for an item",
    {200: Page[ReviewEntryPayload]},
    query=ReviewListQuery,
    problems=(400,),
)
def list_reviews(query: ReviewListQuery) -> Page[ReviewEntryPayload]:
    return review_lists.page_of(service(), g.tenant, query)


@blueprint.get("/v1/reviews/export")
@require("read")
@operation(
    "The reviewed images as a zip for training: a folder for each label, and `images.csv` with the part as the group",
    {200: review_export.MEDIA_TYPE},
    query=ReviewExportQuery,
    problems=(400,),
    answer_headers={"Content-Disposition": "a filename"},
)
def export_reviews(query: ReviewExportQuery) -> Response:
    here = service()
    blocks = review_export.export(here.database, here.blobs, g.tenant, query)
    response = Response(blocks, mimetype=review_export.MEDIA_TYPE)
    response.headers["Content-Disposition"] = 'attachment; filename="reviews.zip"'
    return response


@blueprint.post("/v1/reviews/next")
@require("review")
@operation(
    "Take the next item of the review queue: this caller alone may review it until `claimed_until`. 204: none waits",
    {200: ReviewTaskPayload, 204: None},
    body={"application/json": ClaimRequest},
    problems=_BODY,
)
def take_next_review(body: ClaimRequest) -> ReviewTaskPayload | tuple[str, int]:
    here, who = service(), caller()
    entry = reviews.take_next(here, who, Wanted(body.get("batch_id"), body.get("line"), body.get("source")))
    return ("", 204) if entry is None else reviews.task(here, who, entry)


@blueprint.post("/v1/items/<item_id>/review")
@require("review")
@operation(
    "Give a person's verdict on an item, from the queue or chosen; the model's verdict stays next to it",
    {200: ItemPayload},
    body={"application/json": ReviewRequest},
    problems=(*_BODY, 404, 409),
)
def review_item(item_id: str, body: ReviewRequest) -> ItemPayload:
    return reviews.give(service(), caller(), item_id, body["verdict"], body.get("note"), body.get("claim"))


@blueprint.delete("/v1/items/<item_id>/review")
@require("review")
@operation(
    "Take back the newest opinion of this key on an item, which waits in the queue again",
    {200: ItemPayload},
    problems=(404, 409),
)
def take_back_review(item_id: str) -> ItemPayload:
    return reviews.take_back(service(), caller(), item_id)


@blueprint.post("/v1/items/<item_id>/skip")
@require("review")
@operation(
    "Give an item back to the review queue, behind the others",
    {204: None},
    body={"application/json": SkipRequest},
    problems=(*_BODY, 404, 409),
)
def skip_review(item_id: str, body: SkipRequest) -> tuple[str, int]:
    reviews.put_back(service(), caller(), item_id, body.get("claim"))
    return "", 204
