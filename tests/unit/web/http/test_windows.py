"""The windows of the rate limits follow no wall clock that jumps."""

import itertools
import time
from pathlib import Path

import pytest
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from shared.settings import Settings
from web.http import rate_limits, windows
from web.http.rate_limits import RateLimits
from web.http.windows import Windows

JUMP_S = 400 * 86_400.0
REAL = time.time


@pytest.fixture
def limits(tmp_path: Path) -> RateLimits:
    """Three requests in a minute, counted by a process whose broker is away."""
    return RateLimits(
        Settings(
            data_dir=tmp_path,
            installation="plant-7",
            broker_url="redis://127.0.0.1:1/0",
            rate_limit_requests=3,
            rate_limit_window_s=60,
        )
    )


@pytest.mark.parametrize("jump_s", [JUMP_S, -JUMP_S])
def test_a_window_that_began_under_a_wrong_clock_ends_in_its_time(
    limits: RateLimits, jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setattr(time, "time", lambda: REAL() + jump_s)
        first = [limits.request_of("key") for _ in range(4)]
    again = [limits.request_of("key") for _ in range(2)]
    seen = [standing for standing in [*first, *again] if standing is not None]
    assert [standing.allowed for standing in seen] == [True] * 3 + [False] * 3
    assert all(0 < standing.reset_s <= 60 for standing in seen)


def test_a_window_in_the_broker_is_told_within_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps between any two of its readings."""
    item = RateLimitItemPerSecond(5, 60, namespace="requests")
    jumps = itertools.cycle((0.0, JUMP_S, -JUMP_S))
    monkeypatch.setattr(time, "time", lambda: REAL() + next(jumps))
    limiter = FixedWindowRateLimiter(MemoryStorage())
    for _ in range(9):
        assert 0 <= rate_limits.take_block(limiter, item, "key")[2] <= 60


def test_windows_are_apart_end_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MOST", 3)
    here = Windows()
    assert here.take("a", 5, 0.05, 2)[:2] == (2, 3)
    assert here.take("a", 5, 0.05, 4)[:2] == (3, 0)
    assert here.take("a", 5, 0.05, 1)[:2] == (0, 0)
    assert here.take("b", 5, 60, 1)[:2] == (1, 4)
    time.sleep(0.06)
    assert here.take("a", 5, 60, 1)[:2] == (1, 4)
    for name in "cdefg":
        here.take(name, 5, 60, 1)
    assert len(here) <= 3
