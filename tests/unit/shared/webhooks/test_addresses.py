import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.webhooks.addresses import ForbiddenAddress, check_url, judge, networks
from tests.harness.addresses import NO_PLAIN_URLS, NOT_PUBLIC, OTHER_SPELLINGS

PUBLIC_V4, PUBLIC_V6 = "93.184.215.14", "2606:4700:4700::1111"


def shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_at_submission(address: str) -> None:
    with pytest.raises(ForbiddenAddress) as refusal:
        check_url(f"https://{shown(address)}/hook")
    assert refusal.value.code == "fetch_forbidden_address"


@pytest.mark.parametrize("address", [PUBLIC_V4, PUBLIC_V6, "::ffff:8.8.8.8"])
def test_a_public_address_is_accepted(address: str) -> None:
    assert check_url(f"https://{shown(address)}/hook").authority == shown(address)


@pytest.mark.parametrize(
    "host",
    OTHER_SPELLINGS,
)
def test_other_spellings_of_an_address_are_seen_through_without_dns(host: str) -> None:
    with pytest.raises(ForbiddenAddress, match="neither public nor allowed"):
        check_url(f"http://{host}:8080/")


@pytest.mark.parametrize(
    "url",
    NO_PLAIN_URLS,
)
def test_what_is_no_plain_url_of_a_host_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenAddress) as refusal:
        check_url(url)
    assert refusal.value.code == "invalid_url"


def test_a_name_passes_at_submission_and_is_spelled_as_http_wants_it() -> None:
    target = check_url("HTTPS://München.Example.:8443/häken/%41?x=ä b#part".replace(" ", "+"))
    assert target.host == "xn--mnchen-3ya.example"
    assert target.authority == "xn--mnchen-3ya.example:8443"
    assert target.path == "/h%C3%A4ken/%41?x=%C3%A4+b"


def test_the_default_port_is_left_out_of_the_host_header() -> None:
    assert check_url("https://receiver.example:443").authority == "receiver.example"
    assert check_url("http://receiver.example:443").authority == "receiver.example:443"
    assert check_url("http://[2606:4700::1]:81").authority == "[2606:4700::1]:81"


def test_a_network_named_by_the_operator_is_reached_in_any_spelling_and_no_other() -> None:
    allowed = "10.20.0.0/16, 127.0.0.0/8"
    for host in ("10.20.3.4", "127.1", "[::ffff:10.20.0.1]"):
        check_url(f"http://{host}/", allowed)
    with pytest.raises(ForbiddenAddress):
        check_url("http://10.21.0.1/", allowed)


def test_naming_a_tunnel_does_not_open_what_it_leads_to() -> None:
    check_url("http://[64:ff9b::808:808]/", "64:ff9b::/96")
    with pytest.raises(ForbiddenAddress):
        check_url("http://[64:ff9b::7f00:1]/", "64:ff9b::/96")
    with pytest.raises(ForbiddenAddress):
        check_url("http://[2002:7f00:1::]/", "2002::/16")
    with pytest.raises(ForbiddenAddress):
        check_url("http://[::127.0.0.1]/", "::/96")
    check_url("http://[::1]/", "::1/128")


def test_one_private_answer_among_public_ones_refuses_the_name() -> None:
    answers = [ipaddress.ip_address(a) for a in (PUBLIC_V4, PUBLIC_V6, "127.0.0.1")]
    judge(answers[:2], "receiver.example", "")
    with pytest.raises(ForbiddenAddress) as refusal:
        judge(answers, "receiver.example", "")
    assert "127.0.0.1" not in refusal.value.detail, "a submitter learns what a name means in our network"


@pytest.mark.parametrize("allowed", ["10.0.0.1/8", "intranet", "10.0.0.0/33", "10.0.0.0/8;11.0.0.0/8"])
def test_an_unusable_list_of_networks_is_an_error_and_not_an_empty_list(allowed: str) -> None:
    with pytest.raises(SettingsError, match="not a list of networks"):
        networks(allowed)


@given(st.integers(0, 2**32 - 1))
def test_ipv4_hidden_in_ipv6_is_never_more_public_than_itself(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    try:
        judge([inner], "x", "")
    except ForbiddenAddress:
        carriers = [0xFFFF << 32 | number, number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80]
        for carrier in carriers:
            with pytest.raises(ForbiddenAddress):
                judge([ipaddress.IPv6Address(carrier)], "x", "")


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_a_refusal(text: str) -> None:
    for url in (text, "http://" + text, "https://receiver.example/" + text):
        try:
            target = check_url(url)
        except ForbiddenAddress:
            continue
        line = f"{target.authority}{target.path}"
        assert line.isascii() and line.isprintable() and " " not in line
