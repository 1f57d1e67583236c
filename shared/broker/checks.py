"""The one judgement of a broker, for the start, readyz and doctor: would it drop messages, and does it take more?"""

from dataclasses import dataclass

import redis

from shared.broker import address
from shared.broker.connection import UNREACHABLE
from shared.errors import SettingsError
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Memory:
    """A broker's memory in bytes and its eviction policy. `policy` is None if the broker hides it, `limit` 0 if it
    has none."""

    policy: str | None = None
    used: int = 0
    limit: int = 0

    @property
    def evicts(self) -> str | None:
        """The sentence that refuses this broker, or None.

        `allkeys-*` drops queued messages while every send succeeds. `volatile-*` drops only keys with a time to
        live, and no message has one. A policy that cannot be read is no reason to refuse: the sweep sends lost
        messages again.
        """
        if self.policy is not None and self.policy.startswith("allkeys"):
            return (
                f"the broker's maxmemory-policy is {self.policy}: it would drop queued work; set noeviction"
            )
        return None

    @property
    def full(self) -> str | None:
        """The sentence that says that the broker refuses messages now, or None. The sweep sends them later."""
        return f"full: {self.used} of {self.limit} bytes are used" if 0 < self.limit <= self.used else None

    @property
    def trouble(self) -> str | None:
        """`evicts`, else `full`, else None."""
        return self.evicts or self.full


def memory(client: "redis.Redis") -> Memory:
    """Ask a broker. Raises redis.RedisError or OSError if it does not answer.

    INFO has the policy too, so that a managed broker that forbids CONFIG is judged like any other; one that also
    forbids INFO shows nothing.
    """
    try:
        found = client.info("memory")
    except redis.ResponseError:  # NOPERM, or an unknown command
        client.ping()
        return Memory()
    policy = found.get("maxmemory_policy")
    return Memory(
        policy=None if policy is None else str(policy),
        used=int(found.get("used_memory", 0)),
        limit=int(found.get("maxmemory", 0)),
    )


def permanent(error: Exception) -> str | None:
    """The sentence for an answer of the broker that no waiting mends, or None: it may be away for now."""
    said = str(error)
    if isinstance(error, redis.AuthenticationError) or said.startswith(("NOAUTH", "WRONGPASS")):
        return f"the broker refuses the user or password of GONOGO_BROKER_URL: {said}"
    if "DB index" in said or "invalid DB" in said or "Invalid Database" in said:
        return f"the broker has no database of the number in GONOGO_BROKER_URL: {said}"
    return None


def refuse_unusable(settings: Settings) -> None:
    """Raise SettingsError for a broker that would drop messages, refuses us, or has no such database. A broker that
    is away is no reason: it may come."""
    named = address.read(settings.broker)
    try:
        with named.client(timeout_s=2.0) as client:
            trouble = memory(client).evicts
    except UNREACHABLE as error:
        trouble = permanent(error)
    if trouble is not None:
        raise SettingsError(f"{trouble} ({named.shown})")
