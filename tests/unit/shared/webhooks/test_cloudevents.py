"""Messages as batches of CloudEvents."""

import json

from shared.contract.events import event_payload
from shared.contract.pages import page
from shared.webhooks.cloudevents import as_batch


def test_a_message_about_one_object_is_a_batch_of_one_event() -> None:
    body = json.dumps(event_payload("batch.completed", {"id": "bat_1", "name": "Prüfstand"}, 0.0))
    made = as_batch(body, message_id="whd_1", source="https://parts.example")
    assert made == as_batch(body, message_id="whd_1", source="https://parts.example")
    assert json.loads(made) == [
        {
            "specversion": "1.0",
            "source": "https://parts.example",
            "type": "batch.completed",
            "time": "1970-01-01T00:00:00.000Z",
            "datacontenttype": "application/json",
            "id": "whd_1",
            "subject": "bat_1",
            "data": {"id": "bat_1", "name": "Prüfstand"},
        }
    ]


def test_a_message_about_many_items_is_a_batch_of_an_event_each() -> None:
    items = [{"id": f"itm_{number}"} for number in range(3)]
    body = json.dumps(event_payload("items.completed", page(items, None), 0.0))
    events = json.loads(as_batch(body, message_id="whd_1", source=""))
    assert [(event["id"], event["subject"], event["data"]) for event in events] == [
        (f"whd_1.{number}", f"itm_{number}", items[number]) for number in range(3)
    ]
    assert {event["source"] for event in events} == {"/"}


def test_an_object_without_an_id_goes_by_its_part_id_or_has_no_subject() -> None:
    part = json.dumps(event_payload("part.completed", {"part_id": "SN-1"}, 0.0))
    assert json.loads(as_batch(part, message_id="whd_1", source=""))[0]["subject"] == "SN-1"
    other = json.dumps(event_payload("test.ping", {}, 0.0))
    assert "subject" not in json.loads(as_batch(other, message_id="whd_1", source=""))[0]
