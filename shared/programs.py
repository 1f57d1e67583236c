"""The start of a program: it works, or ends with one line that says what to change."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import GonogoError, SettingsError

_NO_TABLES = ("no such table", "does not exist")


@contextmanager
def starting() -> Iterator[None]:
    """Turn the errors of a setup into SettingsError: those of the database, and those of the operating system."""
    try:
        yield
    except (GonogoError, OSError) as error:
        raise SettingsError(said(error)) from error
    except Exception as error:
        if not is_of_database(error):
            raise
        raise SettingsError(said(error)) from error


def refused(error: SettingsError) -> SystemExit:
    """The end of a program with its one line. The status is another for a setting that no later start cures."""
    sys.stderr.write(f"gonogo: {error}\n")
    is_cured_by_time = error.__cause__ is not None and not isinstance(error.__cause__, SettingsError)
    return SystemExit(1 if is_cured_by_time else os.EX_CONFIG)


def is_of_database(error: Exception) -> bool:
    """Whether a database raised it; a program that has not imported SQLAlchemy has asked no database."""
    if "sqlalchemy" not in sys.modules:
        return False
    from sqlalchemy.exc import DBAPIError

    return isinstance(error, DBAPIError)


def said(error: Exception) -> str:
    """An error of a setup in one line."""
    if isinstance(error, GonogoError):
        cause = error.__cause__
        return said(cause) if isinstance(cause, Exception) and is_of_database(cause) else str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    raised = getattr(error, "orig", None) or error
    line = str(raised).strip().partition("\n")[0]
    if any(words in line for words in _NO_TABLES) and ("table" in line or "relation" in line):
        return f"the database has no tables of this release ({line}): run `gonogo migrate` first"
    return f"the database of GONOGO_DATABASE_URL: {line}"


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound to this address, with the zone of an IPv6 one. Raises SettingsError."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            bare or "0.0.0.0",  # noqa: S104 - the empty host is every address, as for other servers
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot listen on {host}:{port}: {reason}") from error
    return listening
