"""Times on the command line: a duration from now, or a moment."""

import re

import click

from shared.clock import now, rfc3339
from shared.contract.fields import parse_moment

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"(\d{1,9})([smhdw]?)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
DURATION = "90d, 12h, 30m, 45s"


def duration(text: str) -> int:
    """Seconds of `90d`, `12h`, `30m` or `45s`; raises click.BadParameter."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no duration such as {DURATION}")
    return int(found[1]) * _SECONDS[found[2]]


def moment(text: str) -> str:
    """The RFC 3339 time of a moment (`2027-01-31T12:00:00Z`), or of a day in UTC; raises click.BadParameter."""
    try:
        return str(rfc3339(parse_moment(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error


def expiry(text: str) -> str:
    """The RFC 3339 time of a moment, or of a duration from now; raises click.BadParameter."""
    if _DURATION.fullmatch(text):
        return str(rfc3339(now() + duration(text)))
    return moment(text)
