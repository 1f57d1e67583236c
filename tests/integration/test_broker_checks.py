"""The start, readyz and doctor judge a broker alike, also a managed one that hides its configuration."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from shared.broker import checks
from shared.broker.connection import connect
from shared.cli.doctor import broker as doctor
from shared.errors import SettingsError
from shared.settings import Settings
from tests.harness.application import Application, application
from tests.harness.broker import start_valkey
from web.app import create_app

READY = "/readyz"


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """A Valkey of this test, which may spoil it."""
    path = tmp_path / "own.sock"
    server = start_valkey(tmp_path, path)
    yield path
    server.terminate()
    server.wait(20)


@pytest.fixture
def own(socket: Path, artifact: Path, tmp_path: Path) -> Iterator[Application]:
    (tmp_path / "data").mkdir()
    with application(tmp_path / "data", artifact, f"unix://{socket}") as made:
        yield made


def set_policy(socket: Path, policy: str, maxmemory: int = 0) -> None:
    with redis.Redis(unix_socket_path=str(socket)) as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", maxmemory)


def limit(socket: Path, *rules: str) -> str:
    """Make a user with these rights; its URL."""
    with redis.Redis(unix_socket_path=str(socket)) as client:
        client.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~*", "&*", "+@all", *rules)
    return f"unix://limited@{socket}?password=any"


def judged(app: Application, url: str) -> dict[str, str]:
    """The verdict of each caller: `ok`, or the sentence that says why not."""
    settings = replace(app.service.settings, broker_url=url)
    try:
        made = create_app(settings)
    except SettingsError as error:
        start = str(error)
    else:
        start = "ok"
        made.extensions["gonogo"].waiting.stop()
        made.extensions["gonogo"].announcer.stop()
        made.extensions["gonogo"].database.dispose()
    app.flask.extensions["gonogo"] = replace(app.service, settings=settings)
    (finding,) = doctor.broker(settings)
    return {
        "start": start,
        "readyz": app.call("GET", READY).get_json()["checks"]["broker"],
        "doctor": "ok" if finding.state == "ok" else finding.detail,
    }


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl"])
def test_a_policy_that_keeps_messages_is_fit_for_all_three(
    own: Application, socket: Path, policy: str
) -> None:
    set_policy(socket, policy)
    assert judged(own, f"unix://{socket}") == {"start": "ok", "readyz": "ok", "doctor": "ok"}


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_policy_that_drops_messages_is_refused_by_all_three(
    own: Application, socket: Path, policy: str
) -> None:
    set_policy(socket, policy)
    verdicts = judged(own, f"unix://{socket}")
    assert all(f"maxmemory-policy is {policy}" in verdict for verdict in verdicts.values()), verdicts


def test_a_volatile_policy_drops_no_message_when_the_memory_is_full(socket: Path) -> None:
    """The claim behind the judgement, on a real server: a full broker refuses and keeps its queues."""
    with redis.Redis(unix_socket_path=str(socket)) as client:
        client.lpush("normal", "message")
        set_policy(socket, "volatile-lru", maxmemory=int(client.info("memory")["used_memory"]) + 200_000)
        with pytest.raises(redis.OutOfMemoryError):
            for _ in range(1000):
                client.lpush("low", os.urandom(5000))
        assert client.lrange("normal", 0, -1) == [b"message"]


@pytest.mark.parametrize("rules", [("-config",), ("-config", "-info"), ("-@dangerous", "-@admin")])
def test_a_broker_that_forbids_config_keeps_nobody_from_being_ready(
    own: Application, socket: Path, rules: tuple[str, ...]
) -> None:
    url = limit(socket, *rules)
    with (
        connect(replace(own.service.settings, broker_url=url)) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.config_get("maxmemory-policy")
    assert judged(own, url) == {"start": "ok", "readyz": "ok", "doctor": "ok"}


def test_a_broker_that_forbids_config_is_still_refused_for_its_policy(own: Application, socket: Path) -> None:
    url = limit(socket, "-config")
    set_policy(socket, "allkeys-lru")
    verdicts = judged(own, url)
    assert all("allkeys-lru" in verdict for verdict in verdicts.values()), verdicts


def test_a_broker_without_the_command_at_all(own: Application, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    server = start_valkey(tmp_path / "bare", tmp_path / "bare.sock", "--rename-command", "CONFIG", "")
    try:
        url = f"unix://{tmp_path / 'bare.sock'}"
        assert judged(own, url) == {"start": "ok", "readyz": "ok", "doctor": "ok"}
    finally:
        server.terminate()
        server.wait(20)


def test_a_full_broker_is_told_of_and_does_not_stop_the_start(own: Application, socket: Path) -> None:
    set_policy(socket, "noeviction", maxmemory=1)
    verdicts = judged(own, f"unix://{socket}")
    assert verdicts["start"] == "ok"
    assert verdicts["readyz"].startswith("full: ")
    assert "full: " in verdicts["doctor"]


def test_a_broker_that_answers_nothing_raises(tmp_path: Path) -> None:
    away = connect(Settings(broker_url=f"unix://{tmp_path}/nowhere.sock"))
    with away as client, pytest.raises(redis.ConnectionError):
        checks.memory(client)
