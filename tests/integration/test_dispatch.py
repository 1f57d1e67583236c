"""Many deliveries are in hand at once, and a silent receiver holds up no other one."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from shared.ids import new_id
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.lines import host_of, line_of, path_of, tenant_of
from shared.store.tables import Delivery
from shared.webhooks import lines
from tests.harness.processes import until
from tests.harness.receivers import Receiver, status
from tests.integration.test_deliver import owe
from worker.webhooks import dispatch
from worker.webhooks.deliver import deliver
from worker.webhooks.dispatch import Dispatcher


class Tries:
    """Tries that last until they are let go, in place of posts. Each claims and ends its delivery."""

    def __init__(self) -> None:
        self.silent: dict[str, threading.Event] = {}
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.ended: list[str] = []
        self._claimed: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, database: Database, settings: Settings, delivery_id: str) -> str:
        with database.read() as connection:
            line = connection.scalar(select(Delivery.line).where(Delivery.id == delivery_id))
        assert line is not None
        with self._lock:
            if delivery_id in self._claimed:  # started from a look that was older than its end
                return "not_due"
            self._claimed.add(delivery_id)
            for name in (line, "host " + host_of(line), "tenant " + tenant_of(line), "all"):
                self.now[name] += 1
                self.most[name] = max(self.most[name], self.now[name])
        if (answers := self.silent.get(line)) is not None:
            answers.wait(30)
        with database.write() as connection:
            connection.execute(update(Delivery).where(Delivery.id == delivery_id).values(status="delivered"))
        with self._lock:
            self.ended.append(line)
            for name in (line, "host " + host_of(line), "tenant " + tenant_of(line), "all"):
                self.now[name] -= 1
        return "delivered"


@pytest.fixture
def tries() -> Iterator[Tries]:
    made = Tries()
    yield made
    for answers in made.silent.values():
        answers.set()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, webhook_allowed_networks="127.0.0.0/8", webhook_timeout_s=3.0)


@pytest.fixture
def dispatcher(database: Database, settings: Settings, tries: Tries) -> Iterator[Dispatcher]:
    made = Dispatcher(database, partial(tries, database, settings), lines)
    yield made
    for answers in tries.silent.values():
        answers.set()
    assert made.stop(30)


def owe_many(database: Database, number: int, host: str, tenant: str = "t", path: str = "hook") -> str:
    url = f"http://{host}/{path}"
    for _ in range(number):
        owe(database, url, at=time.time() - 1, tenant=tenant)
    return line_of(tenant, url, path_of(url))


def pending(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(select(func.count()).where(Delivery.status == "pending")) or 0


def test_one_message_delivers_everything_that_is_due(
    database: Database, dispatcher: Dispatcher, tries: Tries
) -> None:
    for host in range(5):
        owe_many(database, 10, f"host{host}")
    dispatcher.wake()
    until(lambda: pending(database) == 0, 30, "all are delivered")
    assert len(tries.ended) == 50
    assert max(tries.most[line] for line in set(tries.ended)) <= dispatch.MOST_OF_A_LINE


def test_silent_receivers_of_many_tenants_do_not_hold_up_a_third(
    database: Database, dispatcher: Dispatcher, tries: Tries
) -> None:
    for number in range(8):
        line = owe_many(database, 20, f"silent{number}", f"tenant {number}")
        tries.silent[line] = threading.Event()
    dispatcher.wake()
    until(lambda: tries.now["all"] == 8, 40, "each silent receiver holds one try")
    quick = owe_many(database, 40, "quick", "third")
    dispatcher.wake()
    until(lambda: tries.ended.count(quick) == 40, 40, "the quick receiver has all of its own")
    assert tries.most["all"] <= 8 + dispatch.MOST_OF_A_LINE


def test_one_tenant_with_many_silent_receivers_has_a_bound(
    database: Database, dispatcher: Dispatcher, tries: Tries
) -> None:
    for number in range(dispatch.OF_A_TENANT.all + 5):
        tries.silent[owe_many(database, 1, f"silent{number}", "loud")] = threading.Event()
    dispatcher.wake()
    until(lambda: tries.now["all"] == dispatch.OF_A_TENANT.all, 40, "the tenant's tries are in hand")
    other = owe_many(database, 1, "silent0", "other")
    dispatcher.wake()
    until(lambda: tries.ended == [other], 40, "the same host is tried for another tenant")
    assert tries.most["tenant loud"] == dispatch.OF_A_TENANT.all


def test_receivers_that_are_not_known_to_be_quick_leave_room_for_those_that_are(
    database: Database, dispatcher: Dispatcher, tries: Tries
) -> None:
    quick = owe_many(database, 1, "quick", "good")
    dispatcher.wake()
    until(lambda: tries.ended == [quick], 40, "the receiver is known to be quick")
    for number in range(dispatch.OF_ALL.all):
        tries.silent[owe_many(database, 1, f"silent{number}", f"tenant {number}")] = threading.Event()
    dispatcher.wake()
    until(lambda: tries.now["all"] == dispatch.OF_ALL.unproven, 40, "silent receivers take their part")
    owe_many(database, 8, "quick", "good")
    dispatcher.wake()
    until(lambda: tries.ended.count(quick) == 9, 40, "the quick receiver has all of its own")


def test_silent_receivers_of_one_host_leave_room_for_a_receiver_that_was_never_tried(
    database: Database, dispatcher: Dispatcher, tries: Tries
) -> None:
    for number in range(8):
        line = owe_many(database, 3, "proxy", path=f"silent/{number}")
        tries.silent[line] = threading.Event()
    dispatcher.wake()
    until(lambda: tries.now["all"] == 8, 40, "each silent receiver holds one try")
    fresh = owe_many(database, 20, "proxy", path="fresh")
    dispatcher.wake()
    until(lambda: tries.ended == [fresh] * 20, 40, "the receiver has all of its own")


def test_receivers_of_one_host_have_a_bound(database: Database, dispatcher: Dispatcher, tries: Tries) -> None:
    quick = owe_many(database, 1, "proxy", path="quick")
    dispatcher.wake()
    until(lambda: tries.ended == [quick], 40, "a receiver is known to be quick")
    for number in range(dispatch.OF_A_HOST.all + 3):
        tries.silent[owe_many(database, 1, "proxy", path=f"silent/{number}")] = threading.Event()
    dispatcher.wake()
    until(lambda: tries.now["all"] == dispatch.OF_A_HOST.unproven, 40, "silent receivers take their part")
    owe_many(database, 8, "proxy", path="quick")
    owe_many(database, 1, "elsewhere")
    dispatcher.wake()
    until(lambda: len(tries.ended) == 10, 40, "the quick receiver and another host have all of their own")
    assert tries.most["host proxy t"] <= dispatch.OF_A_HOST.all


def test_receivers_that_were_slow_hold_few_places_of_their_host(
    database: Database, dispatcher: Dispatcher, tries: Tries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "QUICK_S", 0.3)
    slow = [owe_many(database, 2, "proxy", path=f"slow/{number}") for number in range(8)]
    for line in slow:
        tries.silent[line] = threading.Event()
    dispatcher.wake()
    until(lambda: tries.now["all"] == 8, 40, "each receiver is tried")
    time.sleep(0.4)
    firsts = dict(tries.silent)
    for line in slow:
        tries.silent[line] = threading.Event()
    for answers in firsts.values():
        answers.set()
    until(lambda: len(tries.ended) == 8 and tries.now["all"] == dispatch.OF_A_HOST.slow, 40, "few are again")
    fresh = [owe_many(database, 1, "proxy", path=f"fresh/{number}") for number in range(8)]
    dispatcher.wake()
    until(lambda: {*fresh} <= {*tries.ended}, 40, "those that were never tried go before")
    assert tries.now["all"] == dispatch.OF_A_HOST.slow


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("trouble", [RuntimeError("no try is possible now"), SystemExit(1)])
def test_a_try_that_fails_here_is_left_to_the_sweep(
    database: Database, settings: Settings, trouble: BaseException
) -> None:
    tried: list[str] = []

    def broken(_: Database, __: Settings, delivery_id: str) -> str:
        tried.append(delivery_id)
        raise trouble

    dispatcher = Dispatcher(database, partial(broken, database, settings), lines)
    owe_many(database, 1, "host")
    dispatcher.wake()
    until(lambda: len(tried) == 1, 40, "a try")
    time.sleep(0.3)
    assert len(tried) == 1, "it is not tried again and again"
    dispatcher.wake()
    until(lambda: len(tried) == 2, 40, "the next message tries again")
    assert dispatcher.stop(10)


def test_the_end_waits_for_the_tries_in_hand_and_starts_no_other(
    database: Database, settings: Settings, tries: Tries
) -> None:
    dispatcher = Dispatcher(database, partial(tries, database, settings), lines)
    line = owe_many(database, 2, "silent")
    tries.silent[line] = threading.Event()
    dispatcher.wake()
    until(lambda: tries.now["all"] == 1, 40, "a try is in hand")
    assert not dispatcher.stop(0.1)
    tries.silent[line].set()
    assert dispatcher.stop(10)
    assert tries.ended == [line]
    assert pending(database) == 1


def test_a_real_post_goes_out_while_eight_receivers_are_silent(
    database: Database, settings: Settings
) -> None:
    silent, quick = Receiver(), Receiver()
    silent.replies = [lambda _: time.sleep(4)]
    dispatcher = Dispatcher(database, partial(deliver, database, settings), lines)
    try:
        for number in range(8):
            owe(database, silent.url, at=time.time() - 1, tenant=f"tenant {number}")
        dispatcher.wake()
        until(lambda: len(silent.posts) == 8, 40, "eight receivers were asked and are silent")
        owe(database, quick.url, at=time.time() - 1, tenant="third")
        started = time.monotonic()
        dispatcher.wake()
        until(lambda: len(quick.posts) == 1, 40, "the ninth is delivered")
        assert time.monotonic() - started < 2
    finally:
        assert dispatcher.stop(30)
        silent.close()
        quick.close()


def test_each_post_goes_out_within_two_seconds_while_a_receiver_of_the_same_host_is_silent(
    database: Database, settings: Settings
) -> None:
    host, arrived = Receiver(), Counter[str]()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        arrived[handler.path] += 1
        if handler.path.startswith("/slow"):
            time.sleep(4)
        status(204)(handler)

    host.replies = [answer]
    slow, quick = (host.url.replace("/hook?line=A3", path) for path in ("/slow", "/ok"))
    dispatcher = Dispatcher(database, partial(deliver, database, settings), lines)
    try:
        for number in range(8):
            owe(database, f"{slow}/{number}", at=time.time() - 1)
        for number in range(12):
            owe(database, slow, at=time.time() - 1)
            owe(database, quick, at=time.time() - 1)
            started = time.monotonic()
            dispatcher.wake()
            until(lambda sent=number + 1: arrived["/ok"] == sent, 40, "the healthy receiver is told")  # type: ignore[misc]
            assert time.monotonic() - started < 2
        assert arrived["/slow"] == 1
    finally:
        assert dispatcher.stop(30)
        host.close()


def test_a_burst_for_one_receiver_does_not_hold_up_another_of_its_host(
    database: Database, settings: Settings
) -> None:
    host, paths = Receiver(), Counter[str]()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        paths[handler.path] += 1
        status(204)(handler)

    host.replies = [answer]
    busy, other = (host.url.replace("/hook?line=A3", path) for path in ("/busy", "/other"))
    rows = [owe(database, busy, at=time.time() - 1)]
    with database.write() as connection:
        row = connection.execute(select(Delivery.__table__).where(Delivery.id == rows[0])).one()._asdict()
        copies = [{**row, "id": each, "subject": each} for each in (new_id("whd") for _ in range(999))]
        connection.execute(insert(Delivery), copies)
    dispatcher = Dispatcher(database, partial(deliver, database, settings), lines)
    try:
        dispatcher.wake()
        until(lambda: paths["/busy"] > 0, 40, "the burst goes out")
        owe(database, other, at=time.time() - 1)
        started = time.monotonic()
        dispatcher.wake()
        until(lambda: paths["/other"] == 1, 40, "the other receiver is told")
        assert time.monotonic() - started < 2
        assert pending(database) > 0, "the burst still waits"
    finally:
        assert dispatcher.stop(30)
        host.close()
