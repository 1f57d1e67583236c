"""A message as a batch of CloudEvents 1.0 (JSON format): an event for each entry of a list, one for anything else."""

import json

from shared.json_text import JsonObject

CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"


def as_batch(body: str, *, message_id: str, source: str) -> bytes:
    """The body of a message, `{"type", "timestamp", "data"}`, as a batch; the same bytes each time.

    `source` is the service's URL; `/` stands for a service that does not know its own. `message_id` is the same over
    all tries, so source and id together tell a receiver which event it has seen.
    """
    message = json.loads(body)
    data = message["data"]
    if data.get("object") == "list":
        entries = [(f"{message_id}.{place}", entry) for place, entry in enumerate(data["data"])]
    else:
        entries = [(message_id, data)]
    shared = {
        "specversion": "1.0",
        "source": source or "/",
        "type": message["type"],
        "time": message["timestamp"],
        "datacontenttype": "application/json",
    }
    events = [{**shared, "id": identifier, **_subject(entry), "data": entry} for identifier, entry in entries]
    return json.dumps(events, separators=(",", ":"), ensure_ascii=False).encode()


def _subject(entry: JsonObject) -> JsonObject:
    """The object that the event is about, where it has an id; a part goes by its `part_id`."""
    name = entry.get("id") or entry.get("part_id")
    return {"subject": name} if name else {}
