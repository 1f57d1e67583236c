"""Which readings of a clock may be deleted by."""

from pathlib import Path

import pytest

from shared.store.engine import Database
from tests.harness.databases import prepare
from worker.upkeep import steady
from worker.upkeep.steady import ClockInDoubt, SteadyClock
from worker.upkeep.unchanged import Unchanged

SETTLE_S = 60.0
A_YEAR_S = 365 * 86400.0


class Machine:
    """A machine whose uptime and wall clock a test sets."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database, self.up, self.wall = database, 1000.0, 1_700_000_000.0
        self.boot = "this boot"
        monkeypatch.setattr(steady, "uptime", lambda: self.up)
        monkeypatch.setattr(steady, "boot", lambda: self.boot)

    def pass_time(self, seconds: float) -> None:
        self.up, self.wall = self.up + seconds, self.wall + seconds

    def clock(self) -> SteadyClock:
        return SteadyClock(self.database, SETTLE_S, time_of=lambda: self.wall)

    def settled(self) -> SteadyClock:
        made = self.clock()
        made.read()
        self.pass_time(SETTLE_S)
        assert made.read() == self.wall
        return made


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    prepare(database)
    return Machine(database, monkeypatch)


def test_a_first_reading_is_in_doubt_until_the_clock_has_run_evenly(machine: Machine) -> None:
    clock = machine.clock()
    assert clock.read() is None
    machine.pass_time(SETTLE_S - 1)
    assert clock.read() is None
    with pytest.raises(ClockInDoubt):
        clock.now()
    machine.pass_time(1)
    assert clock.now() == machine.wall


@pytest.mark.parametrize("jump_s", [400 * 86400.0, 3600.0, 5.0, -5.0, -A_YEAR_S])
def test_a_jump_and_its_return_are_both_waited_out(machine: Machine, jump_s: float) -> None:
    clock = machine.settled()
    machine.wall += jump_s
    assert clock.read() is None
    machine.pass_time(12)
    assert clock.read() is None
    machine.wall -= jump_s
    assert clock.read() is None
    machine.pass_time(SETTLE_S - 1)
    assert clock.read() is None
    machine.pass_time(1)
    assert clock.read() == machine.wall


def test_small_differences_are_followed(machine: Machine) -> None:
    clock = machine.settled()
    for _ in range(100):
        machine.pass_time(5)
        machine.wall += 1.0  # far more than a time server slews
        assert clock.read() == machine.wall


def test_another_process_of_the_same_boot_goes_on_from_the_last_agreement(machine: Machine) -> None:
    machine.settled()
    machine.pass_time(5)
    assert machine.clock().read() == machine.wall


def test_a_process_that_starts_during_a_jump_sees_it(machine: Machine) -> None:
    machine.settled()
    machine.pass_time(5)
    machine.wall += A_YEAR_S
    assert machine.clock().read() is None


def test_after_a_restart_of_the_machine_the_agreement_counts_no_more(machine: Machine) -> None:
    machine.settled()
    machine.boot, machine.up = "the next boot", 10.0
    assert machine.clock().read() is None


def test_two_looks_of_short_processes_add_up(machine: Machine) -> None:
    assert machine.clock().read() is None
    machine.pass_time(SETTLE_S)
    assert machine.clock().read() == machine.wall


def test_a_reading_that_took_long_is_not_used(machine: Machine) -> None:
    machine.settled()

    def slowly() -> float:
        machine.pass_time(3)
        return machine.wall

    assert SteadyClock(machine.database, 0.0, time_of=slowly).read() is None


def test_the_real_clocks_agree(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    clock = SteadyClock(machine.database, 0.0)
    first, second = clock.now(), clock.now()
    assert 0 <= second - first < 10


def test_a_lease_is_unchanged_since_the_first_look_at_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("worker.upkeep.unchanged.time.monotonic", lambda: now)
    seen = Unchanged()
    assert seen.seconds("lease", {1: "a", 2: "b"}) == {1: 0, 2: 0}
    now = 103.0
    assert seen.seconds("lease", {1: "a", 2: "renewed"}) == {1: 3, 2: 0}
    assert seen.seconds("upload", {1: "a"}) == {1: 0}
    now = 104.0
    assert seen.seconds("lease", {2: "renewed"}) == {2: 1}
    assert seen.seconds("lease", {1: "a"}) == {1: 0}, "a key that was away begins again"
