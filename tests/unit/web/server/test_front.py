"""The address at which a client sees the service, by what a request says and the proxies that the operator trusts."""

import json
from typing import Any

import pytest

from web.server.environ import environ_of
from web.server.front import Front
from web.server.refusals import Refusal, refuse

PROXY, CLIENT = "10.0.0.2", "192.0.2.7"
PUBLIC = "https://parts.plant.example/gonogo"


def seen(front: Front, path: str = "/v1/batches", *, peer: str = PROXY, **headers: str) -> dict[str, Any]:
    """The WSGI environ of a request that this peer sends."""
    named = {"host": "127.0.0.1:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "http_version": "1.1",
        "scheme": "http", "server": ("127.0.0.1", 8000), "client": (peer, 4711),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }  # fmt: skip
    front.place(scope)
    return environ_of(scope, None)


def base(environ: dict[str, Any]) -> str:
    return f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}{environ['SCRIPT_NAME']}"


FORWARDED = {
    "x_forwarded_proto": "https",
    "x_forwarded_host": "parts.plant.example",
    "x_forwarded_prefix": "/gonogo/",
    "x_forwarded_for": CLIENT,
}


def test_without_settings_a_request_is_seen_as_it_came() -> None:
    environ = seen(Front(), **FORWARDED)
    assert (base(environ), environ["REMOTE_ADDR"]) == ("http://127.0.0.1:8000", PROXY)


@pytest.mark.parametrize("peer", ["10.0.0.3", "::ffff:10.0.0.3", "2001:db8::1", ""])
def test_what_an_untrusted_peer_says_of_a_proxy_is_ignored(peer: str) -> None:
    environ = seen(Front("", f"{PROXY}/32, 2001:db8::2"), peer=peer, **FORWARDED)
    assert (base(environ), environ["REMOTE_ADDR"]) == ("http://127.0.0.1:8000", peer)


@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}", "2001:db8::2"])
def test_a_trusted_proxy_tells_the_address_and_the_client(peer: str) -> None:
    environ = seen(Front("", f"{PROXY}/32, 2001:db8::2"), peer=peer, **FORWARDED)
    assert (base(environ), environ["REMOTE_ADDR"]) == (PUBLIC, CLIENT)
    assert environ["gonogo.host_sent"] == "127.0.0.1:8000"


@pytest.mark.parametrize("name", FORWARDED)
def test_each_header_counts_without_the_others(name: str) -> None:
    environ = seen(Front("", PROXY), **{name: FORWARDED[name]})
    expected = {
        "x_forwarded_proto": ("https://127.0.0.1:8000", PROXY),
        "x_forwarded_host": ("http://parts.plant.example", PROXY),
        "x_forwarded_prefix": ("http://127.0.0.1:8000/gonogo", PROXY),
        "x_forwarded_for": ("http://127.0.0.1:8000", CLIENT),
    }
    assert (base(environ), environ["REMOTE_ADDR"]) == expected[name]


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        (f"6.6.6.6, {CLIENT}, 10.0.0.9", CLIENT),  # the client wrote the first one itself
        (f"{CLIENT}:5123", CLIENT),
        ("[2001:db8::9]:5123", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
        (f"{CLIENT}, unknown, 10.0.0.9", "10.0.0.9"),
        ("nonsense", PROXY),
        ("", PROXY),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(forwarded_for: str, client: str) -> None:
    assert seen(Front("", "10.0.0.0/8"), x_forwarded_for=forwarded_for)["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x_forwarded_host", "parts.example/evil"),
        ("x_forwarded_host", 'a"onload='),
        ("x_forwarded_host", "user@host"),
        ("x_forwarded_prefix", "//evil.example"),
        ("x_forwarded_prefix", "gonogo"),
        ("x_forwarded_prefix", "/a b"),
        ("x_forwarded_proto", "javascript"),
    ],
)
def test_a_header_that_is_no_address_is_ignored(header: str, value: str) -> None:
    assert base(seen(Front("", PROXY), **{header: value})) == "http://127.0.0.1:8000"


def test_of_several_values_the_proxy_next_to_us_wins() -> None:
    headers = {"x_forwarded_proto": "http, https", "x_forwarded_host": "evil.example, parts.example"}
    assert base(seen(Front("", PROXY), **headers)) == "https://parts.example"


@pytest.mark.parametrize("public", [PUBLIC, PUBLIC + "/", "https://parts.plant.example:443/gonogo"])
@pytest.mark.parametrize("peer", [PROXY, CLIENT])
def test_the_public_url_is_the_address_whatever_the_request_says(public: str, peer: str) -> None:
    front = Front(public, PROXY)
    assert base(seen(front, peer=peer)) == PUBLIC
    assert base(seen(front, peer=peer, x_forwarded_proto="http")) == PUBLIC
    assert base(seen(front, peer=peer, host="parts.plant.example")) == PUBLIC


def test_a_trusted_proxy_may_name_another_host_or_prefix_than_the_public_url() -> None:
    front = Front(PUBLIC, PROXY)
    assert base(seen(front, x_forwarded_host="office.example")) == "http://office.example"
    assert base(seen(front, x_forwarded_prefix="/other")) == "http://127.0.0.1:8000/other"
    assert base(seen(front, peer=CLIENT, x_forwarded_host="office.example")) == PUBLIC


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/gonogo/v1/batches", "/v1/batches"),
        ("/v1/batches", "/v1/batches"),
        ("/gonogo", "/"),
        ("/gonogo/", "/"),
        ("/gonogo-2/v1", "/gonogo-2/v1"),
        ("/", "/"),
    ],
)
def test_a_prefix_is_taken_off_the_path_if_the_proxy_has_left_it_there(path: str, below: str) -> None:
    assert seen(Front(PUBLIC), path)["PATH_INFO"] == below


def test_a_refusal_of_the_server_itself_names_its_code_below_the_prefix() -> None:
    answer = refuse(Refusal(408, "body_too_slow", "slow"), {"path": "/v1/batches", "root_path": "/gonogo"})
    problem = json.loads(b"".join(answer.body))
    assert (problem["type"], problem["instance"]) == (
        "/gonogo/docs/errors/body_too_slow", "/gonogo/v1/batches"
    )  # fmt: skip
