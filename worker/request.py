"""Work around Celery keeping a failed acknowledgement as in flight, which stops the consumer for good."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from celery.worker import state
from celery.worker.request import Request as CeleryRequest
from kombu.asynchronous import get_event_loop

log = logging.getLogger(__name__)


class Request(CeleryRequest):  # type: ignore[misc]
    """A request that makes the consumer reconnect if the broker does not take an acknowledgement.

    Celery logs such an error and goes on, and still counts the message as held. Once it holds as many as it may, the
    consumer asks for no more, although the connection works again (a broker frozen for 30 s causes this).
    Reconnecting returns these messages to the queue; a message that comes twice is harmless.
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
        # An error of a connection that was closed already says nothing about the present one.
        if loop is not None and not message.channel.closed:
            loop.call_soon(_reconnect, error)  # type: ignore[no-untyped-call]


def _reconnect(error: Exception) -> None:
    """Raise inside the event loop, which makes Celery's consumer reconnect; a worker that is ending needs no
    connection."""
    if all(asked is None or asked is False for asked in (state.should_stop, state.should_terminate)):
        raise error
