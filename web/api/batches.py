"""Batches: submit, list, poll, cancel."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, g, json, request
from sqlalchemy import and_, bindparam, false, or_, select

from shared.contract.batches import BatchPayload
from shared.contract.pages import ListPayload, page
from shared.contract.states import BatchStatus
from shared.lifecycle import closing
from shared.lifecycle.purging import purge
from shared.store.records import BatchRecord
from shared.store.tables import Batch
from web.http import cursors
from web.http.auth import require
from web.http.problems import HttpProblem, not_found
from web.openapi import request_bodies
from web.openapi.operations import operation
from web.service import Service, service
from web.upload import submission
from web.upload.body import Body

blueprint = Blueprint("batches", __name__)
_ROWS = Batch.__table__
_VISIBLE = and_(Batch.id == bindparam("id"), Batch.tenant == bindparam("tenant"), Batch.sealed.is_(True))
_GET = select(_ROWS).where(_VISIBLE)
_VERSION = select(Batch.version, Batch.finished_at).where(_VISIBLE)
_ORIGIN = "batch"


@blueprint.post("/v1/batches")
@require("submit")
@operation(
    "Submit a batch of pictures",
    {202: BatchPayload},
    body={"multipart/form-data": request_bodies.SubmissionForm},
    problems=(400, 409, 413, 415, 422, 429, 503),
    headers={
        "Idempotency-Key": "1 to 255 characters: the same key with the same content returns the first answer",
        "traceparent": "W3C trace context, carried to the worker and the webhook",
    },
    answer_headers={"Idempotent-Replayed": "`true` where this is the answer of an earlier submission"},
)
def submit() -> Response:
    here = service()
    headers = request.headers
    accepted = submission.submit(
        here,
        g.tenant,
        Body.of(request),
        key=headers.get("Idempotency-Key"),
        traceparent=headers.get("traceparent"),
    )
    payload: dict[str, Any] = dict(here.batch_payload(find(here, accepted.batch_id), base_url()))
    if accepted.webhook_secret is not None:
        payload["webhook_secret"] = accepted.webhook_secret
    response = Response(json.dumps(payload), 202, content_type="application/json")
    response.headers["Location"] = payload["links"]["self"]
    response.headers["Retry-After"] = "1"
    if accepted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def base_url() -> str:
    """The service's URL as the client sees it."""
    return request.host_url.rstrip("/")


def find(here: Service, batch_id: str) -> BatchRecord:
    """A batch of the caller's tenant; raises 404."""
    with here.database.read() as connection:
        row = connection.execute(_GET, {"id": batch_id, "tenant": g.tenant}).first()
    if row is None:
        raise not_found(f"batch {batch_id}")
    return BatchRecord._make(row)


@blueprint.get("/v1/batches")
@require("read")
@operation(
    "List batches, active ones first",
    {200: list[BatchPayload]},
    query={
        "status": "only these states, comma-separated",
        "created_after": "RFC 3339",
        "created_before": "RFC 3339",
        "origin": "batch (default) or predict: single pictures sent to /v1/predict",
        "limit": "1 to 100, default 20",
        "cursor": "the previous page's next_cursor",
    },
    problems=(400,),
)
def list_batches() -> dict[str, Any]:
    return dict(page_of(service(), cursors.limit(20, 100)))


def page_of(here: Service, limit: int) -> ListPayload:
    """A page of the tenant's batches; the request's query holds the filters and the cursor."""
    ended = Batch.finished_at.is_not(None)
    origin = request.args.get("origin", _ORIGIN)
    query = select(_ROWS).where(Batch.tenant == g.tenant, Batch.sealed.is_(True), Batch.origin == origin)
    if statuses := request.args.get("status"):
        query = query.where(Batch.status.in_(statuses.split(",")))
    if after := _moment("created_after"):
        # Answers show milliseconds: the batch whose own created_at is sent back is not after it.
        query = query.where(Batch.created_at >= after + 0.001)
    if before := _moment("created_before"):
        query = query.where(Batch.created_at < before)
    if (cursor := cursors.decode(bool, str)) is not None:
        was_ended, last_id = bool(cursor[0]), str(cursor[1])
        same = and_(ended if was_ended else ~ended, Batch.id < last_id)
        query = query.where(or_(same, false() if was_ended else ended))
    query = query.order_by(ended, Batch.id.desc()).limit(limit + 1)
    with here.database.read() as connection:
        rows = [BatchRecord._make(row) for row in connection.execute(query)]
    data = [here.batch_payload(row, base_url()) for row in rows[:limit]]
    more = len(rows) > limit
    following = [rows[limit - 1].finished_at is not None, rows[limit - 1].id] if more else None
    return page(data, cursors.encode(following) if following else None)


def _moment(name: str) -> float | None:
    text = request.args.get(name)
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace(" ", "+")).timestamp()
    except ValueError as error:
        raise HttpProblem(400, "invalid_parameter", f"{name} is an RFC 3339 time") from error


@blueprint.get("/v1/batches/<batch_id>")
@require("read")
@operation(
    "Poll a batch",
    {200: BatchPayload, 304: None},
    query={"wait": "seconds (at most 60) to hold the answer until the batch changes or ends"},
    problems=(404,),
)
def get_batch(batch_id: str) -> Response:
    here = service()
    wait = min(cursors.number("wait") or 0.0, 60.0)
    known = request.headers.get("If-None-Match")
    version, finished = _version(here, batch_id)
    if wait > 0 and not finished:
        seen = known or etag(batch_id, version)

        def changed() -> Response | None:
            version, finished = _version(here, batch_id)
            return (
                _shown(here, batch_id, version, known)
                if finished or etag(batch_id, version) != seen
                else None
            )

        response = here.waiting.wait(batch_id, changed, wait, in_turn=True)
        if response is not None:
            return response
    return _shown(here, batch_id, version, known)


def _shown(here: Service, batch_id: str, version: int, known: str | None) -> Response:
    if known == etag(batch_id, version):
        response = Response(status=304)
        response.headers["ETag"] = known
        return response
    row = find(here, batch_id)
    response = Response(json.dumps(here.batch_payload(row, base_url())), content_type="application/json")
    response.headers["ETag"] = etag(batch_id, row.version)
    response.headers["Cache-Control"] = "no-cache"
    if row.finished_at is None:
        response.headers["Retry-After"] = "1"
    return response


def etag(batch_id: str, version: int) -> str:
    """The validator of one version of a batch."""
    return f'"{batch_id}-{version}"'


def _version(here: Service, batch_id: str) -> tuple[int, bool]:
    with here.database.read() as connection:
        row = connection.execute(_VERSION, {"id": batch_id, "tenant": g.tenant}).first()
    if row is None:
        raise not_found(f"batch {batch_id}")
    return row.version, row.finished_at is not None


@blueprint.post("/v1/batches/<batch_id>/cancel")
@require("submit")
@operation(
    "Cancel what has not begun; verdicts of chunks under way are kept",
    {200: BatchPayload},
    problems=(404, 409),
)
def cancel_batch(batch_id: str) -> dict[str, Any]:
    here = service()
    row = find(here, batch_id)
    with here.database.write() as connection:
        cancelled = closing.cancel(connection, batch_id)
    if not cancelled and row.status not in (BatchStatus.CANCELLING, BatchStatus.CANCELLED):
        raise HttpProblem(409, "wrong_state", f"a batch that is {row.status} can't be cancelled")
    here.complete(batch_id)
    return dict(here.batch_payload(find(here, batch_id), base_url()))


@blueprint.delete("/v1/batches/<batch_id>")
@require("submit")
@operation("Delete an ended batch, its rows and bytes", {204: None}, problems=(404, 409))
def delete_batch(batch_id: str) -> tuple[str, int]:
    here = service()
    row = find(here, batch_id)
    if not purge(here.database, here.blobs, batch_id):
        raise HttpProblem(
            409, "wrong_state", f"a batch that is {row.status} can't be deleted: cancel it first"
        )
    return "", 204
