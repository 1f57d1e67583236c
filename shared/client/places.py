"""Paths of requests: ids as they stand in a path, and queries as the API reads them."""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from shared.client.errors import UnusableInput

_IDENTIFIER = re.compile(r"[a-z]{3}_[0-9A-Za-z_-]+")


def identifier(given: str) -> str:
    """An id as it stands in a path. Raises UnusableInput for a text that is no id."""
    if not _IDENTIFIER.fullmatch(given):
        raise UnusableInput(
            f"{given!r} is no id; an id looks like bat_01m8m8ckxveb6vr73w3p8vpsr9 or mdl_…, by its kind"
        )
    return given


def with_query(path: str, **values: object) -> str:
    """A path with the values that are not None: a list is comma-separated, and a mapping is `NAME.KEY=VALUE`."""
    query: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            query |= {f"{name}.{key}": _text(each) for key, each in value.items()}
        elif value is not None:
            query[name] = _text(value)
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(_text, value))
    return str(value)
