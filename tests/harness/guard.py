"""A guard: no test, and no process that a test starts, opens a socket beyond loopback.

`install` listens to Python's audit events, so it sees every connection and every lookup of a name, whatever library
makes it. `tests.conftest` installs it in the test process; children install it by TEST_HOOKS (see hooks).
"""

import ipaddress
import os
import socket
import sys
from typing import Any

LOCAL_NAMES = ("localhost", "", None)


class LeftLoopback(BaseException):
    """A connection or a lookup beyond loopback. No `except Exception` of the code under test swallows it."""


def is_loopback(host: Any) -> bool:
    """True for an address of loopback, the wildcard address, and the names of this machine."""
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if host in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _is_numeric(host: Any) -> bool:
    """True for every spelling of an address, such as 0x7f.1: the system asks no name server for it."""
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        try:
            socket.inet_aton(str(host))
        except OSError:
            return False
    return True


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        # Unix sockets have a path for an address.
        if isinstance(address, tuple) and not is_loopback(address[0]):
            raise LeftLoopback(f"{event} to {address[0]}: no test may leave loopback (process {os.getpid()})")
        return
    host = arguments[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else None
    if not (is_loopback(host) or _is_numeric(host)):
        raise LeftLoopback(f"{event} of {host}: no test may ask a name server")


def install() -> None:
    """Watch this process until its end; an audit hook cannot be taken out."""
    sys.addaudithook(_watch)
