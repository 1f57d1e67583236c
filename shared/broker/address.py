"""GONOGO_BROKER_URL, read once, and spelled for redis-py and for Celery: they differ in sockets, TLS and Sentinel."""

import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from shared.errors import SettingsError

if TYPE_CHECKING:  # Celery's parent process imports this module and needs no client of its own
    import redis

_SCHEMES = {
    "redis": "redis",
    "valkey": "redis",
    "rediss": "rediss",
    "valkeys": "rediss",
    "unix": "unix",
    "sentinel": "sentinel",
}
_PORTS = {"redis": 6379, "rediss": 6379, "sentinel": 26379}
_CERT_REQS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_TLS = {"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
_OPTIONS = {
    "redis": set[str](),
    "rediss": _TLS,
    "unix": set[str](),
    "sentinel": {"master", "sentinel_username", "sentinel_password"},
}
_EXAMPLES = (
    "redis://host:6379/0, rediss://…, valkey://…, valkeys://…, unix:///path or sentinel://host:26379/0"
)


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is. `hosts` is empty for a Unix socket, and holds the sentinels of `sentinel://`."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    socket: str
    username: str
    password: str = field(repr=False)
    database: int = 0
    options: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """The address without a password."""
        if self.socket:
            return f"unix://{self.socket}"
        return f"{','.join(map(_authority, self.hosts))}/{self.database}"

    def client(self, timeout_s: float) -> "redis.Redis":
        """A client of redis-py, whose connecting and each answer take at most `timeout_s`."""
        import redis
        from redis.sentinel import Sentinel

        bounded = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        if self.scheme != "sentinel":
            return redis.Redis.from_url(self._url(), **bounded)
        sentinels = Sentinel(
            list(self.hosts), sentinel_kwargs={**self._sentinel_login(), **bounded}, **bounded
        )  # type: ignore[no-untyped-call]
        login = {"username": self.username or None, "password": self.password or None}
        found: redis.Redis = sentinels.master_for(self._master, db=self.database, **login)  # type: ignore[no-untyped-call]
        return found

    def celery(self) -> dict[str, Any]:
        """The settings of Celery that name the broker; `transport` holds some of its transport options."""
        if self.scheme == "unix":
            url = f"redis+socket://{self._login()}{quote(self.socket)}?virtual_host={self.database}"
            return {"broker_url": url, "transport": {}}
        if self.scheme == "sentinel":
            # Celery splits a list of alternatives at each semicolon.
            url = ";".join(
                f"sentinel://{self._login()}{_authority(host)}/{self.database}" for host in self.hosts
            )
            told = {"master_name": self._master, "sentinel_kwargs": self._sentinel_login()}
            return {"broker_url": url, "transport": told}
        url = f"{self.scheme}://{self._login()}{_authority(self.hosts[0])}/{self.database}"
        made: dict[str, Any] = {"broker_url": url, "transport": {}}
        if self.scheme == "rediss":
            made["broker_use_ssl"] = self._tls()
        return made

    def _url(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self._login()}{quote(self.socket)}?db={self.database}"
        tls = f"?{urlencode(self.options)}" if self.options else ""
        return f"{self.scheme}://{self._login()}{_authority(self.hosts[0])}/{self.database}{tls}"

    def _login(self) -> str:
        if not self.username and not self.password:
            return ""
        return f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@"

    @property
    def _master(self) -> str:
        return self.options.get("master", "mymaster")

    def _sentinel_login(self) -> dict[str, str]:
        return {
            name: self.options[f"sentinel_{name}"]
            for name in ("username", "password")
            if f"sentinel_{name}" in self.options
        }

    def _tls(self) -> dict[str, Any]:
        made: dict[str, Any] = {**self.options}
        made["ssl_cert_reqs"] = _CERT_REQS[self.options.get("ssl_cert_reqs", "required")]
        if "ssl_check_hostname" in made:
            made["ssl_check_hostname"] = made["ssl_check_hostname"].lower() == "true"
        return made


def read(url: str) -> BrokerAddress:
    """The address that a URL names; raises SettingsError, without the password, for one that cannot be used."""
    scheme, rest = _split(url)
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        places = parts.netloc.split(",") if scheme == "sentinel" else [parts.netloc]
        login = next((each.rpartition("@")[0] for each in places if "@" in each), "")
        username, password = unquote(login.partition(":")[0]), unquote(login.partition(":")[2])
        found = () if scheme == "unix" else tuple(_host(each, scheme) for each in places)
    except ValueError:  # its text may hold a part of the password
        raise SettingsError(
            "GONOGO_BROKER_URL cannot be read: in a user or password, write @ as %40, / as %2F, and so on"
        ) from None
    username, password = options.pop("username", username), options.pop("password", password)
    path = unquote(parts.path)
    database = options.pop("db", "" if scheme == "unix" else path.strip("/"))
    if not re.fullmatch(r"\d{0,4}", database):
        raise SettingsError(f"GONOGO_BROKER_URL: the database must be a number, not {database!r}")
    if scheme == "unix" and (parts.netloc.rpartition("@")[2] or not path):
        raise SettingsError("GONOGO_BROKER_URL: a Unix socket is written unix:///absolute/path")
    if any("," in name for name, _ in found):
        raise SettingsError(f"GONOGO_BROKER_URL: {scheme}:// takes one host, sentinel:// several")
    if unknown := sorted(options.keys() - _OPTIONS[scheme]):
        known = ", ".join(sorted({"db", "username", "password", *_OPTIONS[scheme]}))
        raise SettingsError(f"GONOGO_BROKER_URL: unknown option {unknown[0]!r}; {scheme}:// knows {known}")
    if options.get("ssl_cert_reqs", "required") not in _CERT_REQS:
        raise SettingsError(f"GONOGO_BROKER_URL: ssl_cert_reqs must be one of {', '.join(_CERT_REQS)}")
    socket = path if scheme == "unix" else ""
    return BrokerAddress(scheme, found, socket, username, password, int(database or 0), options)


def _split(url: str) -> tuple[str, str]:
    """(scheme, rest); `sentinel://a;sentinel://b/0`, as Celery writes it, becomes `sentinel`, `a,b/0`."""
    written, separator, rest = url.partition("://")
    scheme = _SCHEMES.get(written.lower()) if separator else None
    if scheme is None:
        given = f"not {written}://…" if separator else "and has no scheme"
        raise SettingsError(f"GONOGO_BROKER_URL must be {_EXAMPLES}, {given}")
    return scheme, re.sub(r"(/\d*)?;sentinel://", ",", rest) if scheme == "sentinel" else rest


def _host(text: str, scheme: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text.rpartition('@')[2]}")
    return unquote(parts.hostname or "localhost"), parts.port or _PORTS[scheme]


def _authority(host: tuple[str, int]) -> str:
    name, port = host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
