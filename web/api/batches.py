"""Batches: submit, list, poll, cancel."""

import re

from flask import Blueprint, Response, g, json, request

from shared.contract.batches import BatchPayload
from shared.contract.inputs import InputsForm
from shared.contract.options import SubmissionForm
from shared.contract.pages import Page
from shared.contract.queries import BatchListQuery, BatchQuery, SubmitQuery
from shared.lifecycle.purging import purge
from web.http import trail
from web.http.auth import require
from web.http.headers import base_url, knows, traceparent
from web.http.operations import operation, streams_body
from web.http.problems import HttpProblem
from web.resources import batches
from web.service import Service, service
from web.upload import submission
from web.upload.body import Body
from web.upload.submission import Accepted

blueprint = Blueprint("batches", __name__)
_FIRST_TAG, _ACCEPTED = "gonogo.first_tag", "gonogo.accepted"
_PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


@blueprint.post("/v1/batches")
@require("submit")
@operation(
    "Submit a batch of images",
    {202: BatchPayload},
    query=SubmitQuery,
    body={"multipart/form-data": SubmissionForm, "application/json": InputsForm},
    problems=(400, 409, 410, 413, 415, 422, 429, 503),
    headers={
        "Idempotency-Key": (
            "the same key with the same content returns the first answer; 410 for a day after its batch was deleted",
            {"minLength": 1, "maxLength": 255},
        ),
        "Prefer": "`wait=20` (RFC 7240): as the parameter `wait`, which goes before it",
        "traceparent": "W3C trace context, carried to the worker and the webhook",
    },
    answer_headers={
        "Idempotent-Replayed": "`true` where this is the answer of an earlier submission",
        "Preference-Applied": "the `wait` of the header Prefer",
    },
)
@streams_body
def submit(query: SubmitQuery) -> Response:
    here, environ = service(), request.environ
    # A view that waits runs again from its start, without its body: the submission is kept in the environ.
    accepted = environ.get(_ACCEPTED) or environ.setdefault(_ACCEPTED, _submit(here, query))
    preferred = _preferred_wait()
    wait = query.get("wait", preferred or 0.0)
    row = (None if wait else accepted.row) or batches.find(here, g.tenant, accepted.batch_id)
    if wait and row.finished_at is None and not query["draft"]:
        here.waiting.hold(environ, row.id, wait)
    payload = batches.shown(here, row, base_url(request))
    if accepted.shows_secret and row.webhook is not None:
        payload["webhook_secret"] = row.webhook["secret"]
    response = Response(json.dumps(payload), 202, content_type="application/json")
    response.headers["Location"] = payload["links"]["self"]
    if row.finished_at is None:
        response.headers["Retry-After"] = "1"
    if accepted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if preferred is not None and "wait" not in query:
        response.headers["Preference-Applied"] = f"wait={preferred:g}"
    return response


def _submit(here: Service, query: SubmitQuery) -> Accepted:
    return submission.submit(
        here,
        g.tenant,
        Body.of(request),
        key=request.headers.get("Idempotency-Key"),
        traceparent=traceparent(request),
        actor=trail.actor(),
        draft=query["draft"],
    )


def _preferred_wait() -> float | None:
    """The seconds of `Prefer: wait=20`, at most a minute; None without it. A malformed preference counts as none."""
    found = _PREFER_WAIT.search(request.headers.get("Prefer", ""))
    return None if found is None else min(float(found[1]), 60.0)


@blueprint.get("/v1/batches")
@require("read")
@operation(
    "List batches, active ones first", {200: Page[BatchPayload]}, query=BatchListQuery, problems=(400,)
)
def list_batches(query: BatchListQuery) -> Page[BatchPayload]:
    return batches.page_of(service(), g.tenant, query, base_url(request))


@blueprint.get("/v1/batches/<batch_id>")
@require("read")
@operation("Poll a batch", {200: BatchPayload, 304: None}, query=BatchQuery, problems=(400, 404))
def get_batch(batch_id: str, query: BatchQuery) -> Response:
    here, tenant = service(), g.tenant
    tag, ended = batches.version(here, tenant, batch_id)
    # A view that waits runs again from its start: the version that it saw first is kept in the environ.
    first = request.environ.setdefault(_FIRST_TAG, tag)
    known = request.if_none_match
    if query["wait"] and not ended and tag == first and (not known or known.contains_weak(tag)):
        here.waiting.hold(request.environ, batch_id, query["wait"])
    return _shown(here, tenant, batch_id, tag, ended)


def _shown(here: Service, tenant: str, batch_id: str, tag: str, ended: bool) -> Response:
    if knows(request, tag):
        response = Response(status=304)
    else:
        row = batches.find(here, tenant, batch_id)
        tag, ended = batches.tag(row.id, row.version), row.finished_at is not None
        body = json.dumps(batches.shown(here, row, base_url(request)))
        response = Response(body, content_type="application/json")
    response.set_etag(tag)
    response.headers["Cache-Control"] = "no-cache"
    if not ended:
        response.headers["Retry-After"] = "1"
    return response


@blueprint.post("/v1/batches/<batch_id>/cancel")
@require("submit")
@operation(
    "Cancel what has not begun; verdicts of chunks under way are kept",
    {200: BatchPayload},
    problems=(404, 409),
    repeated="a batch that is cancelling, or was cancelled, stays so",
)
def cancel_batch(batch_id: str) -> BatchPayload:
    here = service()
    return batches.shown(here, batches.cancel(here, g.tenant, batch_id, trail.actor()), base_url(request))


@blueprint.delete("/v1/batches/<batch_id>")
@require("submit")
@operation(
    "Delete an ended batch, its rows and bytes; messages that are owed to webhooks are still sent",
    {204: None},
    problems=(404, 409),
)
def delete_batch(batch_id: str) -> tuple[str, int]:
    here = service()
    row = batches.find(here, g.tenant, batch_id)
    if not purge(
        here.database,
        here.blobs,
        batch_id,
        base=base_url(request),
        also=lambda connection: trail.note(connection, "batch.delete", batch_id, tenant=row.tenant),
    ):
        raise HttpProblem(
            409, "wrong_state", f"a batch that is {row.status} can't be deleted: cancel it first"
        )
    return "", 204
