"""A POST against hostile names, addresses and receivers; nothing may leave loopback, not even an attempt."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.addresses import SPELLINGS, Net
from tests.harness.certificates import self_signed
from tests.harness.guard import LeftLoopback
from tests.harness.receivers import Receiver, Reply, dripping, pouring, status
from worker.webhooks.post import Answer, post

LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def post_to(url: str, *, allowed: str = LOOPBACK, timeout_s: float = 3.0) -> Answer:
    return post(url, {"webhook-id": "whd_1"}, b"{}", allowed=allowed, timeout_s=timeout_s)


@pytest.mark.pace
@pytest.mark.row(17)
@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("a byte at a time", dripping(b"HTTP/1.1 200 OK\r\n" * 100, 0.1)),
        ("headers without end, slowly", dripping(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100, 0.05)),
        ("no answer", lambda _: time.sleep(5)),
    ],
)
def test_a_receiver_that_is_slow_on_purpose_is_cut_at_the_total_deadline(
    receiver: Receiver, name: str, reply: Reply
) -> None:
    receiver.replies = [reply]
    started = time.monotonic()
    answer = post_to(receiver.url, timeout_s=1.0)
    assert 0.9 < time.monotonic() - started < 4.0
    assert answer.status is None
    assert answer.error == "no answer within 1 s in all"


@pytest.mark.pace
def test_a_body_that_comes_slowly_is_cut_too_and_its_status_counts(receiver: Receiver) -> None:
    receiver.replies = [
        lambda handler: (status(200)(handler), dripping(b"x" * 100, 0.1)(handler))[0],
        dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n" + b"abc" * 333, 0.005),
    ]
    assert post_to(receiver.url, timeout_s=1.0).is_success
    started = time.monotonic()
    answer = post_to(receiver.url, timeout_s=1.0)
    assert time.monotonic() - started < 4.0
    assert answer.is_success and answer.kept.startswith(b"abcabc")


@pytest.mark.pace
@pytest.mark.row(17)
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n",
    ],
)
def test_of_a_body_without_end_64_kb_are_read_and_500_bytes_kept(receiver: Receiver, head: bytes) -> None:
    receiver.replies = [pouring(head, b"z" * 4096, 100_000_000)]
    started = time.monotonic()
    answer = post_to(receiver.url)
    assert time.monotonic() - started < 4.0
    assert answer.is_success and answer.kept == b"z" * 500
    time.sleep(0.2)
    # The kernel's buffers take a part that we cannot bound, and it is far from all.
    assert receiver.server.poured < 20_000_000


@pytest.mark.pace
@pytest.mark.parametrize(
    "reply",
    [
        pouring(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", 100_000_000),
        pouring(b"HTTP/1.1 500 No\r\n", b"x: y\r\n", 100_000_000),
        pouring(b"", b"A" * 4096, 100_000_000),
        pouring(b"SSH-2.0-OpenSSH_9.9\r\n", b"\x00" * 64, 64),
        lambda _: None,
    ],
)
def test_what_is_not_http_or_has_no_end_of_headers_is_a_failed_try(receiver: Receiver, reply: Reply) -> None:
    receiver.replies = [reply]
    started = time.monotonic()
    answer = post_to(receiver.url)
    assert time.monotonic() - started < 4.0
    assert not answer.is_success and answer.error


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    return Net(monkeypatch)


@pytest.mark.row(19)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_forbidden_address_is_connected_to(
    net: Net, receiver: Receiver, spelling: str
) -> None:
    net.names["localhost"] = [["127.0.0.1"]]
    answer = post_to(f"http://{spelling}:{receiver.port}/", allowed="")
    assert answer.status is None and answer.error
    assert "ForbiddenAddress" in answer.error
    assert net.connected == [] and receiver.server.connections == 0


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f.0.0.1", "①②⑦.⓪.⓪.①", "LOCALHOST."])
def test_these_spellings_do_reach_loopback_where_it_is_allowed(
    net: Net, receiver: Receiver, spelling: str
) -> None:
    net.names["localhost"] = [["127.0.0.1"]]
    assert post_to(f"http://{spelling}:{receiver.port}/").status == 204
    assert net.connected == ["127.0.0.1"]


@pytest.mark.row(19)
def test_a_name_that_answers_otherwise_the_second_time_gains_nothing(net: Net, receiver: Receiver) -> None:
    net.names["rebinding.example"] = [["93.184.215.14"], ["127.0.0.1"]]
    answer = post_to(f"http://rebinding.example:{receiver.port}/", allowed="")
    assert net.asked == ["rebinding.example"], "the name was resolved more than once"
    assert net.connected == ["93.184.215.14"]
    assert answer.error is not None and "nothing may leave loopback" in answer.error
    assert "ForbiddenAddress" in str(post_to(f"http://rebinding.example:{receiver.port}/", allowed="").error)
    assert receiver.server.connections == 0


@pytest.mark.parametrize(
    "private", ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%1", "64:ff9b::7f00:1", "::ffff:10.0.0.1"]
)
def test_one_forbidden_answer_among_public_ones_is_enough_to_refuse(net: Net, private: str) -> None:
    net.names["mixed.example"] = [["93.184.215.14", private, "2606:4700:4700::1111"]]
    assert "ForbiddenAddress" in str(post_to("http://mixed.example/", allowed="").error)
    assert net.connected == []


def test_the_next_answer_is_tried_where_the_first_does_not_listen(net: Net, receiver: Receiver) -> None:
    net.names["receiver.example"] = [["127.0.0.2", "127.0.0.1"]]
    assert post_to(f"http://receiver.example:{receiver.port}/").status == 204
    assert net.connected == ["127.0.0.2", "127.0.0.1"]
    assert receiver.posts[0][1]["host"] == f"receiver.example:{receiver.port}"


@pytest.mark.row(19)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_private_address_is_not_followed(net: Net, receiver: Receiver, code: int) -> None:
    inner = Receiver()
    try:
        receiver.replies = [status(code, location=f"http://127.0.0.1:{inner.port}/admin")]
        answer = post_to(receiver.url)
    finally:
        inner.close()
    assert answer.error is not None and "redirects are not followed" in answer.error
    assert inner.server.connections == 0 and len(net.connected) == 1


def test_proxy_settings_are_not_read(net: Net, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Receiver()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    try:
        assert post_to(receiver.url).status == 204
    finally:
        proxy.close()
    assert proxy.server.connections == 0


@pytest.mark.pace
def test_a_name_server_that_does_not_answer_is_cut_at_the_deadline(net: Net) -> None:
    net.delay_s = 3.0
    net.names["slow.example"] = [["93.184.215.14"]]
    started = time.monotonic()
    assert post_to("http://slow.example/", timeout_s=0.5).error == "no answer within 0.5 s in all"
    assert time.monotonic() - started < 2.5
    assert net.connected == []


def test_a_look_up_that_ends_by_an_error_of_any_kind_is_not_waited_for() -> None:
    started = time.monotonic()
    with pytest.raises(LeftLoopback):
        post_to("http://receiver.example/", timeout_s=20.0)
    assert time.monotonic() - started < 10


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for receiver.example with its key in one file."""
    folder = tmp_path_factory.mktemp("tls")
    self_signed(folder, "receiver.example")
    return folder


@pytest.fixture
def tls_receiver(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Receiver, list[str | None]]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    made = Receiver(tls=context)
    yield made, names
    made.close()


def test_https_keeps_the_name_for_sni_host_and_certificate_while_the_address_is_pinned(
    net: Net, tls_receiver: tuple[Receiver, list[str | None]]
) -> None:
    receiver, names = tls_receiver
    net.names["receiver.example"] = [["127.0.0.1"]]
    assert post_to(f"https://receiver.example:{receiver.port}/hook").status == 204
    assert names == ["receiver.example"] and net.connected == ["127.0.0.1"]
    assert receiver.posts[0][1]["host"] == f"receiver.example:{receiver.port}"


def test_https_refuses_a_certificate_of_another_name(
    net: Net, tls_receiver: tuple[Receiver, list[str | None]]
) -> None:
    receiver, _ = tls_receiver
    net.names["other.example"] = [["127.0.0.1"]]
    assert "certificate" in str(post_to(f"https://other.example:{receiver.port}/").error)
    assert receiver.posts == []


def test_https_refuses_a_certificate_that_nobody_vouches_for(
    net: Net, tls_receiver: tuple[Receiver, list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, _ = tls_receiver
    monkeypatch.delenv("SSL_CERT_FILE")
    net.names["receiver.example"] = [["127.0.0.1"]]
    assert "certificate" in str(post_to(f"https://receiver.example:{receiver.port}/").error)
    assert receiver.posts == []


@pytest.mark.pace
def test_a_tls_handshake_that_stalls_is_cut_at_the_deadline(net: Net) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        answer = post_to(f"https://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=0.5)
        assert time.monotonic() - started < 2.5
    assert answer.error == "no answer within 0.5 s in all"
