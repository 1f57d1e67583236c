"""Messages to workers, sent after the commit and never relied on: the sweep sends a lost one again."""

import json
import logging
import uuid
from collections import Counter
from collections.abc import Sequence

from celery import Celery

from shared.broker import queues
from shared.broker.connection import UNREACHABLE, Broker

log = logging.getLogger(__name__)
_TASK_ID, _DELIVERY_TAG = "the-task-id", "the-delivery-tag"


class ChunkMessages:
    """Tells a lane's workers that chunks are queued, one message each.

    The messages of a lane differ only in their ids. Celery spends 0.6 ms on each (2 ms in a process that has slept),
    part of it on a new Redis client. So Celery makes one message, into a broker in memory, and copies of it are
    pushed (docs/decisions/0010).
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._made: dict[str, str] = {}

    def send(self, lane: str, messages: int = 1) -> bool:
        """Push so many messages; False if the broker is away, and the sweep will announce these chunks."""
        if lane not in self._made:
            self._made[lane] = _chunk_message(lane)
        made = self._made[lane]
        try:
            for _ in range(messages):
                copy = made.replace(_TASK_ID, str(uuid.uuid4())).replace(_DELIVERY_TAG, str(uuid.uuid4()))
                self._broker.client.lpush(self._broker.key(lane), copy)
        except UNREACHABLE as error:
            log.warning("the broker is away, the sweep will announce %d chunks: %s", messages, error)
            return False
        return True


def _chunk_message(lane: str) -> str:
    """The message that kombu's Redis transport would push for one chunk of this lane, with placeholders as ids."""
    with Celery("gonogo", broker="memory://localhost", set_as_current=False) as app:
        app.send_task(queues.INFER, args=[lane], queue=lane, task_id=_TASK_ID)
        with app.connection_for_read() as connection:
            message = connection.default_channel.basic_get(lane, no_ack=True).serializable()
    message["properties"]["delivery_tag"] = _DELIVERY_TAG
    return json.dumps(message)


def send(app: Celery, task: str, args: list[object], queue: str) -> bool:
    """Send one task by name; False if the broker is away."""
    try:
        app.send_task(task, args=args, queue=queue, retry=False)
    except UNREACHABLE as error:
        log.warning("the broker is away, %s was not sent: %s", task, error)
        return False
    return True


def take_back(broker: Broker, lanes: Sequence[str]) -> None:
    """Take one message out of the queue for each of these lanes.

    A worker that claims further chunks with the one it was told of leaves their messages without work.
    """
    try:
        for lane, messages in Counter(lanes).items():
            broker.client.rpop(broker.key(lane), messages)
    except UNREACHABLE as error:
        log.debug("messages of chunks that are claimed stay in the queue: %s", error)
