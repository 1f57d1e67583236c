"""Where the service may connect to when somebody else names the URL: public addresses, and the networks that
the operator named. URLs are judged when they are submitted, addresses again when a name has been resolved.
"""

import ipaddress
import logging
import re
import socket
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from shared.errors import GonogoError, SettingsError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_.:-]+", re.ASCII)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")
# Python 3.11 takes these for public, and they are no receiver's address: tunnels and relays whose far end is chosen
# by the address, documentation and protocol ranges newer than its table, and Azure's host service.
_NOT_PUBLIC: tuple[_Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("168.63.129.16", "192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
)
log = logging.getLogger(__name__)


class ForbiddenAddress(GonogoError):
    """The URL, or the address of its host, is not a place this service connects to. The code is `invalid_url` where
    the text is at fault, so that it is wrong for every operator."""

    code = "fetch_forbidden_address"


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL. `host` is ASCII without brackets, `authority` as the Host header spells it, `path` quoted."""

    scheme: str
    host: str
    port: int
    authority: str
    path: str


def networks(allowed: str) -> tuple[_Network, ...]:
    """The networks of a comma-separated list of CIDRs; raises SettingsError for anything else."""
    try:
        return tuple(ipaddress.ip_network(text.strip()) for text in allowed.split(",") if text.strip())
    except ValueError as error:
        raise SettingsError(f"not a list of networks: {error}") from error


def check_url(url: str, allowed: str = "") -> Target:
    """Judge a URL without asking DNS: http or https, a host, no user or password, and where the
    host is an address in any spelling, one that may be reached. Raises ForbiddenAddress."""
    if not url.isprintable() or " " in url or "\\" in url:
        raise ForbiddenAddress("the URL holds spaces, backslashes or control characters", code="invalid_url")
    try:
        parts = urlsplit(url)
        port = parts.port
        name = parts.hostname or ""
        host = (name if ":" in name else name.encode("idna").decode()).lower().removesuffix(".")
    except ValueError as error:
        raise ForbiddenAddress("this is not a URL", code="invalid_url") from error
    if parts.scheme not in _PORTS:
        raise ForbiddenAddress("the URL must begin with http:// or https://", code="invalid_url")
    if "@" in parts.netloc:
        raise ForbiddenAddress("the URL must not hold a user or a password", code="invalid_url")
    if not _HOST.fullmatch(host) or port == 0:
        raise ForbiddenAddress("the URL names no host that can be reached", code="invalid_url")
    literal = _literal(host)
    if literal is not None:
        judge([literal], host, allowed)
    shown = f"[{host}]" if ":" in host else host
    default = _PORTS[parts.scheme]
    authority = shown if port in (None, default) else f"{shown}:{port}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?") if parts.query else ""
    return Target(parts.scheme, host, port or default, authority, path + query)


def _literal(host: str) -> Address | None:
    """The address that a host spells out, in the old spellings (hex, octal, one number) too."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _faces(address: Address) -> list[Address]:
    """The addresses that a packet to this one may end at: those inside IPv6 forms that carry IPv4."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner = [*(address.teredo or ()), *filter(None, [address.sixtofour])]
    # ::1 lies among the IPv4-compatible addresses without being one.
    if address in _NAT64 or (address in _V4_COMPATIBLE and not address.is_loopback):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *inner]


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special and not any(address in network for network in _NOT_PUBLIC)


def judge(addresses: list[Address], host: str, allowed: str) -> None:
    """Refuse unless each address, and each that it carries inside, is public or in a network named `allowed`."""
    named = networks(allowed)
    for address in addresses:
        for face in _faces(address):
            if not _is_public(face) and not any(face in network for network in named):
                # For the operator only: who chose the name must not learn what it means in our network.
                log.warning("refused to connect to %s, which is %s", host, address)
                raise ForbiddenAddress(f"{host} is at an address that is neither public nor allowed by name")
