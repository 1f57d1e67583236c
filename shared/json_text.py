"""JSON text from a client or an artifact: bounded, free of values that no other reader or database takes."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

# A JSON object that the code passes on, or whose members each reader checks before it uses them.
JsonObject: TypeAlias = dict[str, object]
# A model card: training writes it, and a reader takes the members that it needs where the card has them.
Card: TypeAlias = dict[str, Any]

MAX_BYTES = 2**20
MAX_LEVELS = 32
# A list of 340,000 empty objects fits into MAX_BYTES, and a validator's errors about them took 6 s and 316 MB.
MAX_VALUES = 50_000
_MOST_OF_A_NAME = 200  # in a JSON pointer: an answer has up to 50
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


def _without_repetition(pairs: list[tuple[str, object]]) -> JsonObject:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = set[str]()
        for name, _ in pairs:
            if name in seen:
                raise NotJson(f"the member {name[:100]!r} is repeated")
            seen.add(name)
    return made


def faults(value: object, *, levels: int = MAX_LEVELS) -> Iterator[tuple[str, str]]:
    """(JSON pointer, fault) of each string that is not text for a database, and of nesting that is too deep.

    A text of more than MAX_VALUES values is one fault of its own, and ends the search.
    """
    try:
        for path, fault in _faults(value, levels, itertools.count(1)):
            deep = f"it is nested deeper than {levels} levels"
            yield pointer(path), deep if fault is _TOO_DEEP else fault
    except _TooMany:
        yield "", f"it holds more than {MAX_VALUES} values"


_TOO_DEEP = "too deep"


class _TooMany(Exception):
    pass


# A pointer is put together where a fault is found: a name may be long, and a pointer for each of the values under a
# name of 500 kB took 10 s.
def _faults(value: object, levels: int, seen: Iterator[int]) -> Iterator[tuple[tuple[object, ...], str]]:
    if next(seen) > MAX_VALUES:
        raise _TooMany
    if isinstance(value, str):
        if fault := _fault_of(value):
            yield (), fault
    elif isinstance(value, dict | list):
        if levels == 0:
            yield (), _TOO_DEEP
            return
        for name, entry in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(name, str) and _fault_of(name):
                yield (), "the name of a member is not text"
            elif not isinstance(entry, str) or _fault_of(
                entry
            ):  # a call for each sound string would double the time
                for path, fault in _faults(entry, levels - 1, seen):
                    yield (name, *path), fault
            elif next(seen) > MAX_VALUES:
                raise _TooMany


def _fault_of(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character is not allowed"
    return None if text.isascii() or _is_text(text) else "half a surrogate pair is not text"


def pointer(path: Iterable[object]) -> str:
    """The JSON pointer (RFC 6901) of a place. A name that is longer than any of ours is cut."""
    return "".join(f"/{escaped(name)}" for name in path)


def escaped(name: object) -> str:
    """A member's name as a part of a JSON pointer (RFC 6901)."""
    text = str(name)
    shown = text if len(text) <= _MOST_OF_A_NAME else text[:_MOST_OF_A_NAME] + "…"
    return shown.replace("~", "~0").replace("/", "~1")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
