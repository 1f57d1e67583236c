"""Ids: a prefix that names the kind, then 26 lower-case Crockford base32 digits of a UUIDv7.

They sort by the time they were made. The id of an item is the unique part of its batch followed by its place in the
batch, so it needs neither a random number nor an index.
"""

import uuid_utils

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_UNIQUE_LENGTH = 26
_PLACE_LENGTH = 6


def _base32(number: int, length: int) -> str:
    """The last `length` digits of a number; `length` is even, since two digits are looked up at a time."""
    pairs = [_PAIRS[number >> shift & 1023] for shift in range(5 * length - 10, -1, -10)]
    return "".join(pairs)


def new_id(prefix: str) -> str:
    """A new id such as `bat_01kb…`; prefix is one of bat, mdl, whe, whd, key, or an internal one."""
    return f"{prefix}_{_base32(uuid_utils.uuid7().int, _UNIQUE_LENGTH)}"


def first_id(prefix: str, moment: float) -> str:
    """The lowest id that can have been made at this time, in seconds since the epoch, or later."""
    return f"{prefix}_{_base32(max(0, int(1000 * moment)) << 80, _UNIQUE_LENGTH)}"


def item_id(batch_id: str, seq: int) -> str:
    """The id of the item at place `seq` (0-based, below 2**30) of a batch."""
    # Written out, which halves the cost of _base32: an export makes a hundred thousand of these ids.
    return f"itm_{batch_id[4:]}{_PAIRS[seq >> 20 & 1023]}{_PAIRS[seq >> 10 & 1023]}{_PAIRS[seq & 1023]}"


def split_item_id(identifier: str) -> tuple[str, int] | None:
    """(batch id, place) of an item id, or None where the text is no item id."""
    body = identifier[4:]
    if not identifier.startswith("itm_") or len(body) != _UNIQUE_LENGTH + _PLACE_LENGTH:
        return None
    place = 0
    for character in body[_UNIQUE_LENGTH:]:
        value = _VALUES.get(character)
        if value is None:
            return None
        place = place * 32 + value
    return f"bat_{body[:_UNIQUE_LENGTH]}", place
