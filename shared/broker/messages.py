"""Telling: messages and wake-up calls, sent after the commit and never relied on.

A lost message is sent again by the sweep; a lost wake-up call is made up for by the poll's own slow check.
"""

import json
import logging
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from shared.broker import queues
from shared.settings import Settings

log = logging.getLogger(__name__)
_TASK_ID, _DELIVERY_TAG = "the-task-id", "the-delivery-tag"
UNREACHABLE = (OperationalError, redis.RedisError, OSError)


def connect(settings: Settings, *, timeout_s: float = 2.0) -> "redis.Redis":
    """A client of the broker for wake-up calls and queue lengths."""
    return redis.Redis.from_url(settings.broker, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)


class ChunkMessages:
    """Tells a lane's workers that chunks are queued, one message each.

    The messages of a lane differ in their ids alone, and Celery spends 0.6 ms on each (2 ms in a process that has
    slept), part of it on a new Redis client. So Celery makes one, into a broker in memory, and we send its copies.
    """

    def __init__(self, broker: "redis.Redis") -> None:
        self._broker = broker
        self._made: dict[str, str] = {}

    def send(self, lane: str, messages: int = 1) -> bool:
        """False where the broker is away: the sweep will announce these chunks."""
        if lane not in self._made:
            self._made[lane] = _chunk_message(lane)
        made = self._made[lane]
        try:
            for _ in range(messages):
                copy = made.replace(_TASK_ID, str(uuid.uuid4())).replace(_DELIVERY_TAG, str(uuid.uuid4()))
                self._broker.lpush(lane, copy)
        except UNREACHABLE as error:
            log.warning("the broker is away, the sweep will announce %d chunks: %s", messages, error)
            return False
        return True


def _chunk_message(lane: str) -> str:
    """What kombu's Redis transport would push for one chunk of this lane, with placeholders for its ids."""
    with Celery("gonogo", broker="memory://localhost", set_as_current=False) as app:
        app.send_task(queues.INFER, args=[lane], queue=lane, task_id=_TASK_ID)
        with app.connection_for_read() as connection:
            message = connection.default_channel.basic_get(lane, no_ack=True).serializable()
    message["properties"]["delivery_tag"] = _DELIVERY_TAG
    return json.dumps(message)


def send(app: Celery, task: str, args: list[Any], queue: str) -> bool:
    """Send one task by name; False where the broker is away."""
    try:
        app.send_task(task, args=args, queue=queue, retry=False)
    except UNREACHABLE as error:
        log.warning("the broker is away, %s was not sent: %s", task, error)
        return False
    return True


def take_back(client: "redis.Redis", lanes: Sequence[str]) -> None:
    """Take one message out of the queue for each of these lanes: who has claimed a chunk beside the one that it was
    told of leaves its message to nobody."""
    try:
        for lane, messages in Counter(lanes).items():
            client.rpop(lane, messages)
    except UNREACHABLE as error:
        log.debug("messages of chunks that are claimed stay in the queue: %s", error)


def wake(client: "redis.Redis", *batch_ids: str) -> None:
    """Wake whoever waits for a change of these batches."""
    try:
        with client.pipeline(transaction=False) as calls:
            for batch_id in batch_ids:
                calls.publish(queues.EVENTS_CHANNEL, batch_id)
            calls.execute()
    except UNREACHABLE as error:
        log.debug("no wake-up call for %s: %s", ", ".join(batch_ids), error)


def check_policy(client: "redis.Redis") -> str | None:
    """What is wrong with the broker's eviction policy, or None: an evicting one loses messages silently."""
    policy = str(client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction"))
    if policy.startswith("allkeys"):
        return f"the broker's maxmemory-policy is {policy}: it would drop queued work; set noeviction"
    return None


def check_room(client: "redis.Redis") -> str | None:
    """Whether the broker refuses messages for want of memory; they are then sent by the sweep, once it has some."""
    memory = client.info("memory")
    limit, used = int(memory.get("maxmemory", 0)), int(memory.get("used_memory", 0))
    return f"full: {used} of {limit} bytes are used" if 0 < limit <= used else None
