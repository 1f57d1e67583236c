"""A message as a batch of CloudEvents 1.0 (JSON format): a list with one event."""

import json

CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"


def as_batch(body: str, *, message_id: str, source: str) -> bytes:
    """The body of a message, `{"type", "timestamp", "data"}`, as a batch of one event; the same bytes each time.

    `source` is the service's URL; `/` stands for a service that does not know its own. `message_id` is the same over
    all tries, so source and id together tell a receiver which event it has seen.
    """
    message = json.loads(body)
    event = {
        "specversion": "1.0",
        "id": message_id,
        "source": source or "/",
        "type": message["type"],
        "time": message["timestamp"],
        "datacontenttype": "application/json",
        "data": message["data"],
    }
    return json.dumps([event], separators=(",", ":"), ensure_ascii=False).encode()
