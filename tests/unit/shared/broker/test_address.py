"""A broker's URL means the same to redis-py and to Celery, or is refused in a sentence that holds no password."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from shared.broker import address
from shared.errors import SettingsError
from shared.settings import socket_url

ODD = "p@ss:w/rd?#%;,"
QUOTED = "p%40ss%3Aw%2Frd%3F%23%25%3B%2C"


def by_redis(url: str) -> dict[str, Any]:
    """The arguments of each connection that redis-py makes."""
    pool = address.read(url).client(2.0).connection_pool
    return {"class": pool.connection_class.__name__, **pool.connection_kwargs}


def by_celery(url: str) -> dict[str, Any]:
    """The arguments of each connection that Celery makes."""
    made = address.read(url).celery()
    transport = made.pop("transport")
    with Celery("test", set_as_current=False) as app:
        app.conf.update(made, broker_transport_options=transport)
        with app.connection_for_write() as connection:
            channel = connection.transport.Channel.__new__(connection.transport.Channel)
            channel.connection = connection.transport
            for name in channel.from_transport_options:
                if name in transport:
                    setattr(channel, name, transport[name])
            found: dict[str, Any] = channel._connparams()
            return found | {"alternatives": list(connection.alt), **transport}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://broker", ("broker", 6379, 0, None, None)),
        ("redis://broker:6380/3", ("broker", 6380, 3, None, None)),
        ("valkey://broker:6380/3", ("broker", 6380, 3, None, None)),
        (f"redis://:{QUOTED}@broker/99", ("broker", 6379, 99, None, ODD)),
        (f"redis://us%40er:{QUOTED}@[::1]:6380/1", ("::1", 6380, 1, "us@er", ODD)),
        ("redis://broker?db=4&password=s", ("broker", 6379, 4, None, "s")),
        ("REDIS://broker/", ("broker", 6379, 0, None, None)),
    ],
)
def test_host_database_and_login_reach_both_libraries(url: str, expected: tuple[Any, ...]) -> None:
    for found in (by_redis(url), by_celery(url)):
        seen = (found["host"], found["port"], found["db"], found.get("username"), found.get("password"))
        assert tuple(value or None if place > 2 else value for place, value in enumerate(seen)) == expected


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
def test_tls_is_used_and_checks_the_certificate_unless_told_otherwise(scheme: str) -> None:
    checked = by_celery(f"{scheme}://broker/0?ssl_ca_certs=/ca.pem")
    assert (checked["ssl_cert_reqs"], checked["ssl_ca_certs"]) == (ssl.CERT_REQUIRED, "/ca.pem")
    unchecked = f"{scheme}://broker/0?ssl_cert_reqs=none"
    assert by_celery(unchecked)["ssl_cert_reqs"] == ssl.CERT_NONE
    assert by_redis(unchecked)["class"] == "SSLConnection"
    assert (by_redis(unchecked)["host"], by_redis(unchecked)["ssl_cert_reqs"]) == ("broker", "none")


@pytest.mark.parametrize("folder", ["plain", "a?b", "a#b", "a%41b", "a;b", "a b", "a:b@c", "bücher"])
def test_a_socket_in_a_folder_of_any_name_is_the_same_file_to_both(tmp_path: Path, folder: str) -> None:
    socket = tmp_path / folder / "valkey.sock"
    for found in (by_redis(socket_url(socket)), by_celery(socket_url(socket))):
        assert (found["path"], found["db"]) == (str(socket), 0)


def test_a_socket_may_name_user_password_and_database() -> None:
    for url in (f"unix://us:{QUOTED}@/run/v.sock?db=2", f"unix://us@/run/v.sock?db=2&password={QUOTED}"):
        for found in (by_redis(url), by_celery(url)):
            assert (found["username"], found["password"], found["db"]) == ("us", ODD, 2)


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://:secret@one:26379,two:26380,[::3]:26381/5?master=parts&sentinel_password=other",
        "sentinel://:secret@one;sentinel://two:26380;sentinel://[::3]:26381/5?master=parts&sentinel_password=other",
        "sentinel://:secret@one/5;sentinel://:secret@two:26380/5;sentinel://:secret@[::3]:26381/5"
        "?master=parts&sentinel_password=other",
    ],
)
def test_sentinels_reach_both_libraries(url: str) -> None:
    sentinels = [("one", 26379), ("two", 26380), ("::3", 26381)]
    pool: Any = address.read(url).client(2.0).connection_pool
    asked = [client.connection_pool.connection_kwargs for client in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in asked] == sentinels
    assert {(each["password"], each["socket_timeout"]) for each in asked} == {("other", 2.0)}
    assert (pool.service_name, pool.connection_kwargs["db"], pool.connection_kwargs["password"]) == (
        "parts", 5, "secret"
    )  # fmt: skip
    assert pool.connection_kwargs["socket_timeout"] == 2.0
    found = by_celery(url)
    assert (found["master_name"], found["db"], found["password"]) == ("parts", 5, "secret")
    assert found["sentinel_kwargs"] == {"password": "other"}
    assert [each.rpartition("@")[2] for each in found["alternatives"]] == [
        "one:26379/5", "two:26380/5", "[::3]:26381/5"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://u:secret@broker", "must be redis://.*not amqp://"),
        ("broker:6379", "must be redis://"),
        ("redis:broker", "must be redis://"),
        ("redis+socket:///run/v.sock", "must be redis://"),
        ("redis://u:secret@broker/zero", "must be a number, not 'zero'"),
        ("redis://u:secret@broker/-1", "must be a number"),
        ("redis://u:secret@broker:port/0", "cannot be read"),
        ("redis://u:secret/more@broker/0", "write @ as %40"),
        ("u:secret@broker", "no scheme"),
        ("redis://u:secret@broker:99999/0", "cannot be read"),
        ("redis://u:secret@one,two/0", "takes one host"),
        ("redis://u:secret@broker/0?database=1", "unknown option 'database'"),
        ("redis://u:secret@broker/0?ssl_cert_reqs=none", "unknown option"),
        ("rediss://u:secret@broker/0?ssl_cert_reqs=maybe", "one of none, optional, required"),
        ("unix://relative/v.sock", "unix:///absolute/path"),
        ("sentinel://u:secret@one/0?master_name=m", "unknown option 'master_name'"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as refused:
        address.read(url)
    assert "GONOGO_BROKER_URL" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_what_is_shown_holds_no_password() -> None:
    for url, shown in [
        ("redis://u:secret@broker/2", "broker:6379/2"),
        ("valkeys://u:secret@broker/2", "broker:6379/2"),
        ("unix://u:secret@/run/v.sock", "unix:///run/v.sock"),
        ("sentinel://u:secret@one,two/2?sentinel_password=secret", "one:26379,two:26379/2"),
    ]:
        named = address.read(url)
        assert named.shown == shown
        assert "secret" not in repr(named)


def test_a_client_gives_up_in_time() -> None:
    client = address.read("redis://127.0.0.1:1/0").client(2.0)
    assert isinstance(client, redis.Redis)
    assert client.connection_pool.connection_kwargs["socket_timeout"] == 2.0
