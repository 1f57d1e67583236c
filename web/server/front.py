"""The address at which a client sees the service, where proxies stand in front of it.

A proxy hides the host that its client asked for, https, a prefix of the path, and the client's own address. It tells
them in `X-Forwarded-*` headers, which count only if the proxy's address is in GONOGO_TRUSTED_PROXIES: any client can
send such headers. GONOGO_PUBLIC_URL is the address in links, unless a trusted proxy names another host or prefix.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import AnyStr
from urllib.parse import urlsplit

from shared.settings import Settings
from shared.webhooks.addresses import networks
from web.server.asgi import Scope
from web.server.framing import HOST

HOST_SENT = "gonogo.host_sent"  # the Host header as it came, which a proxy may have rewritten
_PREFIX = re.compile(r"(/[\w.~-]+)*/?", re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Address:
    """`scheme://host` and the prefix of every path; `host` has its port where that is not the scheme's own."""

    scheme: str
    host: str
    prefix: str


class Front:
    """Reads the address of a request."""

    def __init__(self, public_url: str = "", trusted_proxies: str = "") -> None:
        self._public = _address(public_url) if public_url else None
        self._trusted = networks(trusted_proxies)

    @classmethod
    def of(cls, settings: Settings) -> "Front":
        """The one that the settings ask for."""
        return cls(settings.public_url, settings.trusted_proxies)

    def place(self, scope: Scope) -> None:
        """Make an ASGI scope say what the client sees: scheme, host, client, and `root_path` with a path below it."""
        if self._public is None and not self._trusted:
            return
        headers = _joined(scope["headers"])
        sent = headers.get("host", "")
        told = headers if self._trusts((scope["client"] or ("",))[0]) else {}
        address = self._address(scope["scheme"], sent, told)
        scope[HOST_SENT] = sent
        scope["scheme"] = address.scheme
        if address.host != sent:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [(b"host", address.host.encode()), *others]
        if (client := self._client(told.get("x-forwarded-for", ""))) is not None:
            scope["client"] = (client, 0)
        scope["root_path"] = address.prefix
        # Proxies differ in whether they take the prefix off the path.
        scope["path"] = _below(address.prefix, scope["path"])
        scope["raw_path"] = _below(address.prefix.encode(), scope.get("raw_path") or b"")

    def _address(self, scheme: str, sent: str, told: Mapping[str, str]) -> Address:
        # A header that came twice is a list: the last value is that of the proxy next to us.
        said = {name: _last(told.get(f"x-forwarded-{name}", "")) for name in ("host", "proto", "prefix")}
        host = said["host"] if HOST.fullmatch(said["host"]) else ""
        prefix = said["prefix"].rstrip("/") if _PREFIX.fullmatch(said["prefix"]) else ""
        scheme = said["proto"].lower() if said["proto"].lower() in _DEFAULT_PORTS else scheme
        public = self._public
        if public is not None and host in ("", public.host) and prefix in ("", public.prefix):
            return public
        return Address(scheme, host or sent, prefix)

    def _client(self, forwarded_for: str) -> str | None:
        """The last address that is no trusted proxy: those before it may be made up by the client."""
        found = None
        for text in reversed(forwarded_for.split(",")):
            host = text.strip().removeprefix("[").partition("]")[0]
            host = host.partition(":")[0] if host.count(":") == 1 else host  # an IPv4 address with a port
            try:
                found = str(ipaddress.ip_address(host))
            except ValueError:
                break
            if not self._trusts(found):
                break
        return found

    def _trusts(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:  # a Unix socket has no address
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._trusted)


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return Address(
        parts.scheme, parts.netloc.removesuffix(_DEFAULT_PORTS[parts.scheme]), parts.path.rstrip("/")
    )


def _joined(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        joined[key] = f"{joined[key]},{text}" if key in joined else text
    return joined


def _last(values: str) -> str:
    return values.rpartition(",")[2].strip()


def _below(prefix: AnyStr, path: AnyStr) -> AnyStr:
    """The path without the prefix, if it begins with it. Both are text, or both are bytes."""
    slash = prefix[:1]
    if prefix and (path == prefix or path.startswith(prefix + slash)):
        return path[len(prefix) :] or slash
    return path
