"""Deliveries against real receivers on loopback; nothing here may leave it, not even as an attempt."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select
from standardwebhooks.webhooks import Webhook

from shared.ids import new_id
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.lines import line_of, path_of
from shared.store.tables import Attempt, Delivery
from shared.webhooks import lines
from tests.harness.receivers import Receiver, status
from tests.harness.stack import running
from worker.webhooks.deliver import LONGEST_RETRY_AFTER_S, RECORD_MARGIN_S, WAITS_S, deliver

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = json.dumps({"type": "batch.completed", "data": {"line": "Prüfstand 3"}}, ensure_ascii=False)
LOOPBACK = "127.0.0.0/8"
START = 1_700_000_000.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, webhook_allowed_networks=LOOPBACK, webhook_timeout_s=3.0)


class Clock:
    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self, _: Connection | None = None) -> float:
        return self.now


def owe(database: Database, url: str, *, at: float = START, secret: str = SECRET, tenant: str = "t") -> str:
    identifier = new_id("whd")
    with database.write() as connection:
        connection.execute(
            insert(Delivery).values(
                id=identifier, tenant=tenant, batch_id="", subject=identifier, event="batch.completed", url=url,
                secret=secret, body=BODY, status="pending", attempts=0, due_at=at, created_at=at,
                line=line_of(tenant, url, path_of(url)),
            )
        )  # fmt: skip
    return identifier


def row_of(database: Database, identifier: str) -> Any:
    with database.read() as connection:
        return connection.execute(select(Delivery.__table__).where(Delivery.id == identifier)).one()


def due(database: Database, at: Callable[[], float] = time.time) -> list[str]:
    with database.read() as connection:
        return lines.due(connection, 10, at())


def tries_of(database: Database, identifier: str) -> list[Any]:
    query = select(Attempt.__table__).where(Attempt.delivery_id == identifier).order_by(Attempt.id)
    with database.read() as connection:
        return list(connection.execute(query))


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_a_delivery_arrives_signed_and_byte_for_byte(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    receiver.replies = [status(200, b"thanks\n\x00\x1b[2J \xff " + "schön".encode())]
    identifier = owe(database, receiver.url, at=time.time() - 1)
    assert due(database) == [identifier]
    assert deliver(database, settings, identifier) == "delivered"
    [(path, headers, body)] = receiver.posts
    assert (path, body) == ("/hook?line=A3", BODY.encode())
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("gonogo/")
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["webhook-id"] == identifier and "." not in identifier
    assert Webhook(SECRET).verify(body, headers)["data"] == {"line": "Prüfstand 3"}
    [tried] = tries_of(database, identifier)
    assert (tried.status, tried.error) == (200, None)
    assert tried.answer == r"thanks\n\x00\x1b[2J \xff schön"
    assert 0 < tried.latency_ms < 3000
    row = row_of(database, identifier)
    assert (row.status, row.attempts) == ("delivered", 1)
    assert row.finished_at is not None
    assert due(database) == []
    assert deliver(database, settings, identifier) == "not_due"


@pytest.mark.row(16)
def test_a_receiver_that_is_down_for_an_hour_gets_it_at_2_h_35_m_under_the_same_id(
    database: Database, settings: Settings
) -> None:
    port, clock = closed_port(), Clock()
    identifier = owe(database, f"http://127.0.0.1:{port}/")
    receiver, at = None, []
    for _ in range(4):
        at.append(clock.now - START)
        assert deliver(database, settings, identifier, at=clock) == "retry"
        assert deliver(database, settings, identifier, at=clock) == "not_due"
        assert due(database, clock) == []
        clock.now = row_of(database, identifier).due_at
        assert due(database, clock) == [identifier]
    assert clock.now - START > 3600
    receiver = Receiver(port)
    try:
        at.append(clock.now - START)
        assert deliver(database, settings, identifier, at=clock) == "delivered"
    finally:
        receiver.close()
    for wait, earlier, later in zip((5, 300, 1800, 7200), at, at[1:], strict=False):
        assert 0.8 * wait <= later - earlier <= 1.2 * wait
    assert 0.8 * 9305 <= at[-1] <= 1.2 * 9305
    [(_, headers, body)] = receiver.posts
    assert headers["webhook-id"] == identifier
    assert headers["webhook-timestamp"] == str(int(clock.now))
    fresh = Webhook(SECRET).sign(identifier, datetime.fromtimestamp(int(clock.now), UTC), body.decode())
    assert headers["webhook-signature"] == fresh
    tries = tries_of(database, identifier)
    assert [round(tried.at - START, 3) for tried in tries] == [round(moment, 3) for moment in at]
    assert [tried.status for tried in tries] == [None, None, None, None, 204]
    assert "refused" in tries[0].error


def test_after_the_tenth_try_it_is_exhausted(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    receiver.replies = [status(500)]
    clock = Clock()
    identifier = owe(database, receiver.url)
    for wait in WAITS_S:
        assert deliver(database, settings, identifier, at=clock) == "retry"
        moved = row_of(database, identifier).due_at
        assert 0.8 * wait <= moved - clock.now <= 1.2 * wait
        clock.now = moved
    assert deliver(database, settings, identifier, at=clock) == "exhausted"
    row = row_of(database, identifier)
    assert (row.status, row.attempts, row.finished_at) == ("exhausted", 10, clock.now)
    assert {headers["webhook-id"] for _, headers, _ in receiver.posts} == {identifier}
    assert len({headers["webhook-signature"] for _, headers, _ in receiver.posts}) == 10
    clock.now += 10 * 86_400
    assert due(database, clock) == []


def test_of_many_messages_for_one_delivery_one_posts(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    identifier = owe(database, receiver.url)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: deliver(database, settings, identifier), range(8)))
    assert sorted(outcomes) == ["delivered"] + ["not_due"] * 7
    assert len(receiver.posts) == 1


def test_a_death_between_post_and_record_is_made_good_under_the_same_id(
    database: Database, database_url: str, settings: Settings, receiver: Receiver, tmp_path: Path
) -> None:
    identifier = owe(database, receiver.url, at=time.time() - 1)
    program = (
        "import sys; from shared.store.engine import Database; from shared.settings import Settings\n"
        "from worker.webhooks.deliver import deliver\n"
        "deliver(Database(sys.argv[1]), Settings(webhook_allowed_networks='127.0.0.0/8'), sys.argv[2])"
    )
    fault = {"GONOGO_FAILPOINTS": "deliver.posted=kill*1", "GONOGO_FAILPOINTS_DIR": str(tmp_path)}
    died = subprocess.run(  # noqa: PLW1510
        [sys.executable, "-c", program, database_url, identifier], env=os.environ | fault, timeout=60
    )
    assert died.returncode == -signal.SIGKILL
    assert len(receiver.posts) == 1 and tries_of(database, identifier) == []
    assert deliver(database, settings, identifier) == "not_due", "the claim of the dead still holds"
    later = Clock(row_of(database, identifier).due_at)
    assert later.now <= time.time() + Settings().webhook_timeout_s + RECORD_MARGIN_S
    assert due(database, later) == [identifier]
    assert deliver(database, settings, identifier, at=later) == "delivered"
    first, second = receiver.posts
    assert first[1]["webhook-id"] == second[1]["webhook-id"] and first[2] == second[2]
    assert row_of(database, identifier).attempts == 2


def test_a_death_in_the_last_try_ends_the_delivery(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    identifier, clock = owe(database, receiver.url), Clock()
    with database.write() as connection:
        connection.execute(Delivery.__table__.update().values(attempts=len(WAITS_S) + 1))  # type: ignore[attr-defined]
    assert deliver(database, settings, identifier, at=clock) == "exhausted"
    assert receiver.posts == []
    assert "died" in tries_of(database, identifier)[0].error


@pytest.mark.parametrize(("late", "ends"), [(204, "delivered"), (500, "pending")])
def test_of_a_try_that_outlived_its_claim_only_success_counts(
    database: Database, settings: Settings, receiver: Receiver, late: int, ends: str
) -> None:
    clock = Clock()

    def claimed_by_another_meanwhile(handler: BaseHTTPRequestHandler) -> None:
        clock.now += 60
        assert deliver(database, settings, identifier, at=clock) == "retry"
        status(late)(handler)

    receiver.replies = [claimed_by_another_meanwhile, status(503)]
    identifier = owe(database, receiver.url)
    deliver(database, settings, identifier, at=Clock(START))
    row = row_of(database, identifier)
    assert (row.status, row.attempts) == (ends, 2)
    assert {tried.status for tried in tries_of(database, identifier)} == {late, 503}
    if ends == "pending":
        assert row.due_at > START + 60 + 0.8 * WAITS_S[1], (
            "the late failure set back the newer try's due time"
        )


def test_a_delivery_purged_while_it_is_posted_leaves_nothing(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    def purged_meanwhile(handler: BaseHTTPRequestHandler) -> None:
        with database.write() as connection:
            connection.execute(delete(Delivery))
        status(204)(handler)

    receiver.replies = [purged_meanwhile]
    identifier = owe(database, receiver.url)
    assert deliver(database, settings, identifier) == "delivered"
    assert tries_of(database, identifier) == []


@pytest.mark.row(18)
def test_anything_but_2xx_is_tried_again(database: Database, settings: Settings, receiver: Receiver) -> None:
    for code in (199, 301, 302, 303, 307, 308, 400, 401, 404, 408, 429, 500, 502, 503, 504):
        receiver.replies = [status(code, location="/other")]
        identifier = owe(database, receiver.url)
        assert deliver(database, settings, identifier) == "retry", code
        error = tries_of(database, identifier)[0].error
        assert str(code) in error
        assert ("redirects are not followed" in error) == (300 <= code < 400)
    assert {path for path, _, _ in receiver.posts} == {"/hook?line=A3"}


@pytest.mark.row(18)
def test_gone_ends_the_delivery_at_once_with_its_reason(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    receiver.replies = [status(410, b"no more")]
    identifier = owe(database, receiver.url)
    assert deliver(database, settings, identifier) == "exhausted"
    assert row_of(database, identifier).status == "exhausted"
    [tried] = tries_of(database, identifier)
    assert (tried.status, tried.answer, tried.error) == (410, "no more", "the receiver answered 410")


RETRY_AFTER = [
    ("120", 120, 120),
    ("1", 4, 6),  # the schedule is the least: the receiver does not ask for a sooner attempt
    ("Tue, 14 Nov 2023 22:23:20 GMT", 600, 600),  # START is 22:13:20
    ("999999999999", LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S),
    ("9" * 400, LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S),
    ("-5", 4, 6),
    ("soon", 4, 6),
    ("Fri, 15 Jan 1999 08:10:00 GMT", 4, 6),
]


@pytest.mark.row(18)
def test_retry_after_is_honoured_within_bounds(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    for header, least, most in RETRY_AFTER:
        receiver.replies = [status(429, retry_after=header)]
        identifier = owe(database, receiver.url)
        assert deliver(database, settings, identifier, at=Clock()) == "retry"
        assert least <= row_of(database, identifier).due_at - START <= most, header


def test_a_secret_that_cannot_sign_is_a_failed_try(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    identifier = owe(database, receiver.url, secret="whsec_ä")
    assert deliver(database, settings, identifier) == "retry"
    assert receiver.posts == []
    assert "secret" in tries_of(database, identifier)[0].error


def test_a_forbidden_receiver_is_a_failed_try_that_the_operator_may_yet_allow(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    identifier, clock = owe(database, receiver.url), Clock()
    strict = Settings(data_dir=settings.data_dir, webhook_timeout_s=1.0)
    assert deliver(database, strict, identifier, at=clock) == "retry"
    assert receiver.server.connections == 0
    assert "ForbiddenAddress" in tries_of(database, identifier)[0].error
    clock.now = row_of(database, identifier).due_at
    assert deliver(database, settings, identifier, at=clock) == "delivered"


@pytest.mark.timeout(120)
def test_a_finished_batch_tells_its_receiver_through_the_real_processes(
    receiver: Receiver, artifact: Path, images: dict[str, bytes], tmp_path: Path
) -> None:
    receiver.replies = [status(500), status(204)]
    few = dict(list(images.items())[:5])
    with running(tmp_path, [artifact]) as stack:
        told = {"url": receiver.url, "secret": SECRET}
        batch = stack.finish(stack.submit(few, {"webhook": told})["id"])
        wait_until = time.monotonic() + 30
        while len(receiver.posts) < 2 and time.monotonic() < wait_until:
            time.sleep(0.1)
    (_, first, body), (_, second, again) = receiver.posts
    event = Webhook(SECRET).verify(body, first)
    assert (event["type"], event["data"]["id"]) == ("batch.completed", batch["id"])
    assert event["data"]["counts"]["succeeded"] == 5
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    Webhook(SECRET).verify(again, second)
