"""The events of a batch, as the service tells them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from shared.client.errors import ResultsCut
from shared.client.places import identifier
from shared.client.transport import Transport
from shared.contract.events import STREAM_END

_RETRY_S = 1.0
_NO_CONTENT = 204


class Event(NamedTuple):
    """A change of a batch. `id` is the place to go on from, `data` the batch as GET showed it then."""

    id: int
    type: str
    data: dict[str, object]


class Events:
    """Follow batches."""

    _wire: Transport

    def events(self, batch_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events of a batch as they come, to that of its end; `after` is the `id` of the last one that you know.

        A connection that breaks is made again, and the stream goes on after the last event. Raises ApiError or
        Unreachable where that does not succeed.
        """
        path = f"/v1/batches/{identifier(batch_id)}/events"
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
            try:
                with self._wire.stream(path, headers) as (answer, blocks):
                    if answer.status == _NO_CONTENT:
                        return
                    for event in read_events(blocks):
                        if event.type == STREAM_END:
                            return
                        after = event.id
                        yield event
            except ResultsCut:
                pass
            time.sleep(_RETRY_S)


def read_events(blocks: Iterable[bytes]) -> Iterator[Event]:
    """The messages of a stream; one that is cut is none. Comments and unknown fields are passed over."""
    rest, last = b"", 0
    for block in blocks:
        *messages, rest = (rest + block).split(b"\n\n")
        for message in messages:
            fields = dict(line.split(": ", 1) for line in message.decode().split("\n") if ": " in line)
            last = int(fields.get("id", last))
            if "data" in fields:
                yield Event(last, fields.get("event", "message"), json.loads(fields["data"]))
