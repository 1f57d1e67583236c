"""Wake-up calls by pub/sub: sent after the commit and never relied on. A waiting poll also looks by itself, slowly."""

import logging
import threading
from collections.abc import Iterator

from shared.broker import queues
from shared.broker.connection import UNREACHABLE, Broker, open_broker
from shared.settings import Settings

_LONGEST_PAUSE_S = 5.0
log = logging.getLogger(__name__)


def wake(broker: Broker, *ids: str) -> None:
    """Tell every web process that these batches have changed, or that these items have a thumbnail."""
    try:
        with broker.client.pipeline(transaction=False) as calls:
            for identifier in ids:
                calls.publish(broker.key(queues.EVENTS_CHANNEL), identifier)
            calls.execute()
    except UNREACHABLE as error:
        log.debug("no wake-up call for %s: %s", ", ".join(ids), error)


def listen(settings: Settings, stop: threading.Event) -> Iterator[str]:
    """The ids of all wake-up calls until `stop` is set; reconnects while the broker is away."""
    pause = 0.5
    while not stop.is_set():
        try:
            broker = open_broker(settings, timeout_s=15.0)
            with broker.client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
                subscription.subscribe(broker.key(queues.EVENTS_CHANNEL))
                pause = 0.5
                while not stop.is_set():
                    message = subscription.get_message(timeout=5.0)
                    if message is not None:
                        yield message["data"].decode()
        except UNREACHABLE as error:
            log.warning("no wake-up calls while the broker is away: %s", error)
            stop.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
