"""A variable of the environment: whether it is ours, and its value as a setting has it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.errors import SettingsError

PREFIX = "GONOGO_"
# The largest integer of a column, and a century in seconds: a moment later than that has no date.
MOST_INT, MOST_S = 2**62, 100 * 365 * 86_400
_SERVICE_NAME = re.compile(
    r"GONOGO_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_PORT = re.compile(r"(tcp|udp|sctp)://")


def is_kubernetes(name: str, value: str) -> bool:
    """Whether Kubernetes set this variable: each container gets some for each Service, so a Service `gonogo` sets
    GONOGO_PORT=tcp://10.0.0.1:80."""
    return _SERVICE_NAME.fullmatch(name) is not None or (
        name.startswith(PREFIX) and name.endswith("PORT") and _SERVICE_PORT.match(value) is not None
    )


def read(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    """The value of a variable; raises SettingsError for one of the wrong kind."""
    is_path = isinstance(kind, type) and issubclass(kind, Path)
    # A secret that is mounted as a file often ends with a line feed.
    given = text.strip("\r\n" if is_path else None)
    if is_path and not given:
        raise SettingsError(f"{name} is empty: unset it, or name a folder")
    try:
        return kind(given)
    except ValueError as error:
        wanted = getattr(kind, "__name__", str(kind))
        raise SettingsError(f"{name} must be {wanted}, not {given[:100]!r}") from error


def check_text(name: str, value: object) -> None:
    """Raise SettingsError for a value that is not UTF-8: no URL can hold it."""
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise SettingsError(f"{name} must be UTF-8, not {str(value)!a}") from error


def check_number(name: str, value: float, least: int, most: int | None) -> None:
    """Raise SettingsError for a number out of its range; NaN is out of every range."""
    if not value >= least:
        raise SettingsError(f"{name} must be a number from {least} on")
    bound = most if most is not None else MOST_INT if isinstance(value, int) else MOST_S
    if value > bound:
        raise SettingsError(f"{name} must be a number from {least} to {bound}")
