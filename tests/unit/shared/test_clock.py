"""Times are spoken in RFC 3339, UTC, milliseconds; a jump of the wall clock is not followed at once."""

import re
import time
from datetime import UTC, datetime

import pytest

from shared import clock
from shared.clock import EvenClock, now, rfc3339


def test_nothing_is_nothing() -> None:
    assert rfc3339(None) is None


@pytest.mark.parametrize(
    ("moment", "spoken"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_795_521_600.25, "2026-11-24T12:00:00.250Z"),
        (951_782_400.0, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_a_moment_is_spoken_in_utc_with_milliseconds(moment: float, spoken: str) -> None:
    assert rfc3339(moment) == spoken


def test_the_local_time_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert rfc3339(0.0) == "1970-01-01T00:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_now_is_now() -> None:
    spoken = rfc3339(now())
    assert spoken is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", spoken)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(spoken)).total_seconds()) < 60


SETTLE_S = 60.0


class Machine:
    """A machine whose uptime and wall clock a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.up, self.wall = 1000.0, 1_700_000_000.0
        monkeypatch.setattr(clock, "uptime", lambda: self.up)
        monkeypatch.setattr(clock, "offset", lambda up: self.wall - up)

    def pass_time(self, seconds: float) -> None:
        self.up, self.wall = self.up + seconds, self.wall + seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize("jump_s", [400 * 86400.0, 3600.0, -5.0, -365 * 86400.0])
def test_a_jump_and_its_return_leave_no_trace(machine: Machine, jump_s: float) -> None:
    even = EvenClock(SETTLE_S)
    for _ in range(12):
        machine.wall += jump_s
        assert even.now() == machine.wall - jump_s
        machine.pass_time(SETTLE_S / 6)
        assert even.now() == machine.wall - jump_s
        machine.wall -= jump_s
        assert even.now() == machine.wall


def test_a_time_that_stays_is_followed_once_it_has_run_evenly(machine: Machine) -> None:
    even = EvenClock(SETTLE_S)
    machine.wall += 3600
    assert even.now() == machine.wall - 3600
    machine.pass_time(SETTLE_S - 1)
    assert even.now() == machine.wall - 3600
    machine.wall += 100  # it jumps again: the wait begins again
    assert even.now() == machine.wall - 3700
    machine.pass_time(SETTLE_S)
    assert even.now() == machine.wall


def test_the_time_of_a_jump_between_two_readings_passes_as_it_did(machine: Machine) -> None:
    even = EvenClock(SETTLE_S)
    machine.pass_time(86_400)
    machine.wall += 3600
    assert even.now() == machine.wall - 3600
    machine.pass_time(86_400)
    assert even.now() == machine.wall


def test_small_differences_are_followed_at_once(machine: Machine) -> None:
    even = EvenClock(SETTLE_S)
    for _ in range(100):
        machine.pass_time(5)
        machine.wall += 1.0
        assert even.now() == machine.wall


def test_the_real_clock_runs_with_the_systems() -> None:
    assert abs(EvenClock(SETTLE_S).now() - time.time()) < 1
