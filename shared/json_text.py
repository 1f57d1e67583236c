"""JSON text from a client or an artifact: bounded, free of values that no other reader or database takes."""

import json
import math
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 2**20
MAX_LEVELS = 32
_MAX_DIGITS = 300  # a longer whole number is no float, and Python reads none of more than 4300


class NotJson(ValueError):
    """The text is not JSON, or holds a value that JSON cannot hold; the message says what."""


def parse(text: bytes | str) -> Any:
    """The value of a JSON text. Raises NotJson; `faults` says what is wrong inside."""
    try:
        # Windows programs write a byte order mark, which RFC 8259 lets a reader ignore.
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        return json.loads(
            decoded,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
            object_pairs_hook=_without_repetition,
        )
    except RecursionError as error:
        raise NotJson("it is nested too deep") from error
    except UnicodeDecodeError as error:
        raise NotJson("it is not UTF-8") from error
    except ValueError as error:
        raise NotJson(str(error)) from error


def _constant(word: str) -> float:
    raise NotJson(f"{word} is not a number in JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJson(f"{text[:20]} is too large a number")
    return value


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise NotJson(f"{text[:20]}… is too large a number")
    return int(text)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = set[str]()
        for name, _ in pairs:
            if name in seen:
                raise NotJson(f"the member {name[:100]!r} is repeated")
            seen.add(name)
    return made


def faults(
    value: Any, pointer: str = "", level: int = 1, *, levels: int = MAX_LEVELS
) -> Iterator[tuple[str, str]]:
    """(JSON pointer, fault) of each string that is not text for a database, and of nesting that is too deep."""
    if isinstance(value, str):
        if "\0" in value:
            yield pointer, "a NUL character is not allowed"
        elif not _is_text(value):
            yield pointer, "half a surrogate pair is not text"
    elif isinstance(value, dict | list):
        if level > levels:
            yield pointer, f"it is nested deeper than {levels} levels"
            return
        if isinstance(value, dict):
            for name, entry in value.items():
                if "\0" in name or not _is_text(name):
                    yield pointer, "the name of a member is not text"
                else:
                    yield from faults(entry, f"{pointer}/{escaped(name)}", level + 1, levels=levels)
        else:
            for place, entry in enumerate(value):
                yield from faults(entry, f"{pointer}/{place}", level + 1, levels=levels)


def escaped(name: object) -> str:
    """A member's name as a part of a JSON pointer (RFC 6901)."""
    return str(name).replace("~", "~0").replace("/", "~1")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
