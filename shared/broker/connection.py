"""The connection to the broker that wake-up calls, queue lengths and checks use; Celery keeps its own."""

import redis
from kombu.exceptions import OperationalError

from shared.settings import Settings

UNREACHABLE = (OperationalError, redis.RedisError, OSError)


def connect(settings: Settings, *, timeout_s: float = 2.0) -> "redis.Redis":
    """A client that gives up on a silent broker after `timeout_s`: a half-open link must not hang its caller."""
    return redis.Redis.from_url(settings.broker, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
