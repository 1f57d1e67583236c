"""The events of a batch, as they come: server-sent events."""

import re
from collections.abc import Iterator
from typing import cast

import orjson
from flask import Blueprint, Response, g, request

from shared.store.records import BatchRecord
from web.http.auth import lasting, require
from web.http.headers import base_url
from web.http.operations import operation
from web.http.problems import HttpProblem
from web.live.feeds import Reading
from web.live.streams import stream
from web.resources import batches
from web.service import service

blueprint = Blueprint("events", __name__)
_MEDIA_TYPE = "text/event-stream"
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


@blueprint.get("/v1/batches/<batch_id>/events")
@require("read")
@operation(
    "Follow a batch by server-sent events; 204 where it has ended and you have seen its last event",
    {200: _MEDIA_TYPE, 204: None},
    problems=(400, 404, 406),
    headers={
        "Last-Event-ID": (
            "the `id` of the last event that you have seen: the stream goes on after it",
            {"pattern": "^[0-9]{1,18}$", "examples": ["0"]},
        ),
        "Accept": "text/event-stream, with weights",
    },
)
def follow_batch(batch_id: str) -> Response:
    here, base = service(), base_url(request)
    row = batches.find(here, g.tenant, batch_id)
    if request.headers.get("Accept", "").strip() and not request.accept_mimetypes.best_match([_MEDIA_TYPE]):
        raise HttpProblem(406, "unsupported_format", f"events come as {_MEDIA_TYPE}")
    last = _last_event()
    if last > row.version:
        last = 0  # an event of another database: this one was restored from a backup
    reading = here.feeds.look(batch_id)
    if reading is not None and reading.has_ended and last and last == reading.last_event:
        # By this answer a browser learns not to connect again.
        return Response(status=204)

    def show(reading: Reading, row: BatchRecord, at: float) -> str:
        key = (row.version, base)
        if key not in reading.texts:
            reading.texts[key] = orjson.dumps(batches.shown(here, row, base, at)).decode()
        return reading.texts[key]

    blocks = cast(Iterator[bytes], stream(here.feeds, batch_id, last, show, lasting("read")))
    response = Response(blocks, content_type=_MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # a proxy that collects an answer would hold each event back
    response.headers["Vary"] = "Accept"
    return response


def _last_event() -> int:
    given = request.headers.get("Last-Event-ID", "0")
    if not _NUMBER.fullmatch(given):
        raise HttpProblem(400, "bad_request", "Last-Event-ID is the `id` of an event of this stream")
    return int(given)
