"""The filter `metadata.KEY=VALUE`, on SQLite and PostgreSQL."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, or_

_PLAIN = re.compile(r"true|false|-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_SQLITE_BOOLEANS = {"true": "1", "false": "0"}  # as its JSON_EXTRACT gives them


def noted(column: Any, asked: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """A condition for each member: its JSON text is the value as a text, number or boolean is written in JSON."""
    return [_is(column, key, _spelled(value)) for key, value in asked.items()]


def _is(column: Any, key: str, spelled: list[str]) -> ColumnElement[bool]:
    # Keys are stored with escapes for all but ASCII, and older versions of SQLite compare them as they are written.
    return or_(*(cast(column[each], Text).in_(spelled) for each in sorted({key, json.dumps(key)[1:-1]})))


def _spelled(value: str) -> list[str]:
    spelled = {json.dumps(value), json.dumps(value, ensure_ascii=False)}
    if _PLAIN.fullmatch(value):
        spelled |= {value, _SQLITE_BOOLEANS.get(value, value)}
    return sorted(spelled)
