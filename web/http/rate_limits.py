"""How many requests a key may send in a window, and how many wrong keys an address: counted in the broker.

All web processes count together. So that a request costs no round trip, a process takes a block of requests at a time
and counts the block down by itself. While the broker is away, each process counts alone.
"""

import ipaddress
import logging
import math
import threading
import time
from dataclasses import dataclass
from wsgiref.types import WSGIEnvironment

from flask import Response
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter

from shared.broker.connection import UNREACHABLE, connect
from shared.broker.queues import prefix
from shared.settings import Settings
from web.http.problems import HttpProblem
from web.http.windows import Windows

log = logging.getLogger(__name__)
# In the facts of a request, which all calls of its view share.
STANDING, _WRONG = "standing", "wrong_key"
_POLICY = "default"
_BLOCKS = 100  # of a window's requests
_BROKER_TIMEOUT_S = 0.25
_COUNT_ALONE_S = 5.0  # after the broker did not answer
_MOST_HELD = 10_000


@dataclass(slots=True)
class _Block:
    """Requests that this process may let pass: `left` of its own, `beyond` of the window, until a monotonic time."""

    left: int
    beyond: int
    until: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A caller's place in its window after a request."""

    allowed: bool
    remaining: int
    reset_s: int


class RateLimits:
    """The limits of one web process."""

    def __init__(self, settings: Settings) -> None:
        window = settings.rate_limit_window_s
        self.policy = f'"{_POLICY}";q={settings.rate_limit_requests};w={window}'
        self._requests = _item(settings.rate_limit_requests, window, "requests")
        self._wrong_keys = _item(settings.rate_limit_wrong_keys, window, "wrong-keys")
        client = connect(settings, timeout_s=_BROKER_TIMEOUT_S)
        self._shared = FixedWindowRateLimiter(
            RedisStorage(
                "redis://", connection_pool=client.connection_pool, key_prefix=prefix(settings) + "limits"
            )
        )
        self._alone = Windows()
        self._alone_until = -math.inf
        self._lock, self._taking = threading.Lock(), threading.Lock()
        self._held: dict[tuple[str, str], _Block] = {}

    def request_of(self, key_id: str) -> Standing | None:
        """Count a request of a key; None if there is no limit."""
        return self._count(self._requests, key_id)

    def wrong_key_of(self, address: str) -> Standing | None:
        """Count a wrong key from an address; an IPv6 client has a whole /64. None if there is no limit."""
        return self._count(self._wrong_keys, _network(address))

    def _count(self, item: RateLimitItem | None, name: str) -> Standing | None:
        if item is None:
            return None
        place = (item.namespace, name)
        with self._lock:
            if (standing := self._pass_held(place)) is not None:
                return standing
        return self._take(item, place)

    def _pass_held(self, place: tuple[str, str]) -> Standing | None:
        """Pass a request of the block in hand; None if that is used up. Holds the lock."""
        block, now = self._held.get(place), time.monotonic()
        if block is None or block.left <= 0 or now >= block.until:
            return None
        block.left -= 1
        return Standing(True, block.beyond + block.left, math.ceil(block.until - now))

    def _take(self, item: RateLimitItem, place: tuple[str, str]) -> Standing:
        """Take a block of the window, as large as is left there, and pass one request of it."""
        with self._taking:
            # Others may have taken one meanwhile. Each of 64 threads that took a block for itself would use up the
            # window of a key in two bursts of requests.
            with self._lock:
                if (standing := self._pass_held(place)) is not None:
                    return standing
            return self._take_next(item, place)

    def _take_next(self, item: RateLimitItem, place: tuple[str, str]) -> Standing:
        size, remaining, reset_s = self.hit(item, place[1])
        if size == 0:
            return Standing(False, 0, max(1, math.ceil(reset_s)))
        now = time.monotonic()
        with self._lock:
            if len(self._held) >= _MOST_HELD:
                self._held = {at: block for at, block in self._held.items() if now < block.until}
            self._held[place] = _Block(size - 1, remaining, now + reset_s)
        return Standing(True, remaining + size - 1, max(1, math.ceil(reset_s)))

    def hit(self, item: RateLimitItem, name: str) -> tuple[int, int, float]:
        """(requests taken, requests left in the window, seconds to its end)."""
        if time.monotonic() >= self._alone_until:
            try:
                return take_block(self._shared, item, name)
            except UNREACHABLE as error:
                self._alone_until = time.monotonic() + _COUNT_ALONE_S
                log.warning("the broker is away, this process counts requests alone: %s", error)
        place = (item.namespace, name)
        return self._alone.take(place, item.amount, item.get_expiry(), _block_of(item))


def take_block(limiter: FixedWindowRateLimiter, item: RateLimitItem, name: str) -> tuple[int, int, float]:
    """(requests taken, requests left in the window, seconds to its end)."""
    # Asked first, since a hit that does not fit is counted nevertheless.
    left = limiter.get_window_stats(item, name).remaining
    size = min(left, _block_of(item))
    if size and not limiter.hit(item, name, cost=size):
        size = 0  # others have taken the rest meanwhile
    window = limiter.get_window_stats(item, name)
    # The broker tells seconds, and the library adds them to the wall clock: a jump in between moves the sum.
    return size, window.remaining, min(max(0.0, window.reset_time - time.time()), item.get_expiry())


def _block_of(item: RateLimitItem) -> int:
    return max(1, item.amount // _BLOCKS)


def _item(amount: int, window_s: int, namespace: str) -> RateLimitItem | None:
    return RateLimitItemPerSecond(amount, window_s, namespace=namespace) if amount else None


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def count_request(limits: RateLimits, key_id: str, facts: WSGIEnvironment) -> None:
    """Count a request of a key, once, however often its view is called; raises 429. `facts` are the request's."""
    if STANDING not in facts:
        facts[STANDING] = limits.request_of(key_id)
    standing: Standing | None = facts[STANDING]
    if standing is not None and not standing.allowed:
        raise HttpProblem(
            429,
            "rate_limited",
            f"this key has sent all requests of its window ({limits.policy}): wait {standing.reset_s} s, send fewer "
            "requests (`?wait=` holds a poll until the batch changes), or ask the operator for a higher limit",
            retry_after_s=standing.reset_s,
        )


def count_wrong_key(limits: RateLimits, address: str | None, facts: WSGIEnvironment) -> None:
    """Count a request with a wrong key for its address, once; raises 429 if there were too many."""
    if _WRONG not in facts:
        facts[_WRONG] = limits.wrong_key_of(address or "")
    standing: Standing | None = facts[_WRONG]
    if standing is not None and not standing.allowed:
        raise HttpProblem(
            429,
            "rate_limited",
            f"too many wrong keys came from this address: correct the key, and wait {standing.reset_s} s",
            retry_after_s=standing.reset_s,
        )


def show(limits: RateLimits, response: Response, facts: WSGIEnvironment) -> None:
    """Add the fields of draft-ietf-httpapi-ratelimit-headers-10 to the answer of a request that was counted."""
    standing: Standing | None = facts.get(STANDING)
    if standing is not None:
        response.headers["RateLimit-Policy"] = limits.policy
        response.headers["RateLimit"] = f'"{_POLICY}";r={standing.remaining};t={standing.reset_s}'
