"""The connection to the broker for messages, wake-up calls and checks; Celery keeps its own."""

from dataclasses import dataclass

import redis
from kombu.exceptions import OperationalError

from shared.broker import address
from shared.broker.queues import prefix
from shared.settings import Settings

UNREACHABLE = (OperationalError, redis.RedisError, OSError)


def connect(settings: Settings, *, timeout_s: float = 2.0) -> "redis.Redis":
    """A client that gives up on a silent broker after `timeout_s`: a half-open link must not hang its caller.

    Raises SettingsError for a URL that cannot be used.
    """
    return address.read(settings.broker).client(timeout_s)


@dataclass(frozen=True, slots=True)
class Broker:
    """A client, and the prefix that tells this installation's keys and channels from those of others."""

    client: "redis.Redis"
    prefix: str

    def key(self, name: str) -> str:
        """A queue or a channel as this installation names it."""
        return self.prefix + name

    def length(self, queue: str) -> int:
        """Messages that wait in a queue."""
        return int(self.client.llen(self.key(queue)))


def open_broker(settings: Settings, *, timeout_s: float = 2.0) -> Broker:
    """Connect under the installation's own names."""
    return Broker(connect(settings, timeout_s=timeout_s), prefix(settings))
