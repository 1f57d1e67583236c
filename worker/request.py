"""What Celery keeps of a message in hand, mended where it would stop a worker for ever."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from celery.worker import state
from celery.worker.request import Request as CeleryRequest
from kombu.asynchronous import get_event_loop

log = logging.getLogger(__name__)


class Request(CeleryRequest):  # type: ignore[misc]
    """A request whose settling, where the broker does not take it, makes the consumer connect anew.

    Celery logs such an error and goes on, while the message counts as held: with as many of them as it may hold, the
    consumer asks for no more, on a connection that is well again (a broker frozen for 30 s leaves it so).
    Connecting anew gives them back to the queue; that they come twice is harmless.
    """

    def __init__(self, message: Any, **options: Any) -> None:
        options["on_ack"] = functools.partial(_settle, message.ack, message)
        options["on_reject"] = functools.partial(_settle, message.reject, message)
        super().__init__(message, **options)


def _settle(
    settle: Callable[..., None], message: Any, _logger: Any, errors: Any, *args: Any, **options: Any
) -> None:
    try:
        settle(*args, **options)
    except errors as error:
        log.warning("the broker was not told that a message is done: %r", error)
        loop = get_event_loop()
        # One of a connection that was given up already says nothing of the connection of now.
        if loop is not None and not message.channel.closed:
            loop.call_soon(_connect_anew, error)  # type: ignore[no-untyped-call]


def _connect_anew(error: Exception) -> None:
    """An error that leaves the event loop makes Celery's consumer connect anew; a worker that is ending needs none."""
    if all(asked is None or asked is False for asked in (state.should_stop, state.should_terminate)):
        raise error
