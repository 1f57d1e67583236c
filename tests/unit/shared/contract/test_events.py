"""Each event has a body, a sentence and a place in the docs."""

import re
from typing import get_type_hints

from shared.contract import events
from shared.contract.fields import OneOf
from shared.contract.webhook_endpoints import EndpointEventPayload
from tests.arch.prose import ROOT

SENT = {*events.ENDPOINT_EVENTS, events.TEST_PING}
STREAMED = {
    events.CREATED, events.QUEUED, events.STARTED, events.PAUSED, events.RESUMED, events.CANCELLING,
    events.RETRIED, events.RESCORED, *events.BATCH_EVENTS, events.DEFECT_RATE_EXCEEDED, events.PROGRESS,
    events.STREAM_END,
}  # fmt: skip


def in_first_column(page: str) -> set[str]:
    """The events that a table of a page of the docs explains."""
    rows = re.findall(r"^\|([^|]+)\|", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([\w.]+)`", row) if name in SENT | STREAMED}


def test_every_event_that_is_sent_has_a_sentence_and_one_body() -> None:
    bodies = [*(each for each in vars(events).values() if "type" in getattr(each, "__annotations__", {}))]
    told = [
        event
        for body in (*bodies, EndpointEventPayload)
        for rule in get_type_hints(body, include_extras=True)["type"].__metadata__
        if isinstance(rule, OneOf)
        for event in rule.values
    ]
    assert sorted(told) == sorted(SENT)
    assert set(events.SUMMARIES) == SENT


def test_the_docs_explain_every_event() -> None:
    assert in_first_column("webhooks.md") == SENT
    assert in_first_column("events.md") == STREAMED
