"""`KEY=VALUE` on the command line."""

from collections.abc import Iterable

from shared.cli.service import Usage


def pairs(flag: str, given: Iterable[str]) -> dict[str, str]:
    """The values by their keys; raises Usage for a text that is no pair, and for a key that is named twice."""
    found: dict[str, str] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise Usage(f"{flag} takes KEY=VALUE, not {text!r}")
        if key in found:
            raise Usage(f"{flag} names {key!r} twice")
        found[key] = value
    return found
