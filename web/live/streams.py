"""The event stream of a batch: its events in their order, its progress now and then, and the end.

A stream holds no thread while it waits: it yields Parked, and the server goes on with it when its batch has changed or
the time is over.
"""

import time
from collections.abc import Callable, Iterator

from shared.contract.events import PROGRESS, STREAM_END
from shared.lifecycle.events import then
from shared.store.records import BatchRecord
from web.live.feeds import Feeds, Reading
from web.live.waits import Parked

RETRY_MS = 1000
HEARTBEAT_S = 15.0
PROGRESS_EVERY_S = 1.0
_LOOK_EVERY_S = 0.2  # a burst of wake-up calls is one look
# Of all streams of the process together: a thousand that look at a time would hold up the requests of others.
_LOOKS_A_SECOND, _PROGRESS_A_SECOND = 1000, 500
_END = f"event: {STREAM_END}\ndata: {{}}\n\n".encode()


def stream(
    feeds: Feeds,
    batch_id: str,
    last: int,
    show: Callable[[Reading, BatchRecord, float], str],
    may_go_on: Callable[[], bool],
) -> Iterator[bytes | Parked]:
    """The events after number `last`, as they come, until the batch has ended.

    `show` makes the text of a batch as it stood at a time. `may_go_on` is asked now and then: a key may be revoked. A
    stream without the event `end` was cut, and its client resumes it.
    """
    yield f"retry: {RETRY_MS}\n\n".encode()
    with feeds.counted():
        yield from _told(feeds, batch_id, last, show, may_go_on)


def _told(
    feeds: Feeds,
    batch_id: str,
    last: int,
    show: Callable[[Reading, BatchRecord, float], str],
    may_go_on: Callable[[], bool],
) -> Iterator[bytes | Parked]:
    sent_at = progress_at = time.monotonic()
    asked_at = sent_at
    while (reading := feeds.look(batch_id)) is not None:
        for event in feeds.later(reading, last):
            last, sent_at = event.seq, time.monotonic()
            yield _message(event.seq, event.type, show(reading, then(reading.batch, event), event.at))
        if last < reading.last_event:
            continue  # there were more than one page of them
        if reading.has_ended and last == reading.last_event:  # else another process has told of a retry
            yield _END
            return
        now = time.monotonic()
        every_s = feeds.spread_s(PROGRESS_EVERY_S, _PROGRESS_A_SECOND)
        if _is_progress(reading, last) and now - progress_at >= every_s:
            last, progress_at, sent_at = reading.batch.version, now, now
            yield _message(last, PROGRESS, show(reading, reading.batch, time.time()))
        elif now - sent_at >= HEARTBEAT_S:
            sent_at = now
            yield b":\n\n"
        if now - asked_at >= HEARTBEAT_S:
            asked_at = now
            if not may_go_on():
                return
        if feeds.wakes.stopping:
            return
        until = sent_at + HEARTBEAT_S
        if _is_progress(reading, last):
            until = min(until, progress_at + every_s)
        yield Parked(batch_id, until, not_before=now + feeds.spread_s(_LOOK_EVERY_S, _LOOKS_A_SECOND))


def _is_progress(reading: Reading, last: int) -> bool:
    """Whether the batch has changed since the last message, and no event tells of it."""
    return reading.batch.version > max(last, reading.last_event)


def _message(number: int, kind: str, data: str) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {data}\n\n".encode()
