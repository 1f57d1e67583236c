"""The filter `metadata.KEY=VALUE`, on SQLite and PostgreSQL."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, func, not_, or_

_PLAIN = re.compile(r"true|false|-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_SQLITE_BOOLEANS = {"true": "1", "false": "0"}  # as its JSON_EXTRACT gives them


def noted(column: Any, asked: Mapping[str, str], *, is_sqlite: bool) -> list[ColumnElement[bool]]:
    """A condition for each member: its JSON text is the value as a text, number or boolean is written in JSON."""
    is_one = _is_on_sqlite if is_sqlite else _is
    return [is_one(column, key, value) for key, value in asked.items()]


def _is(column: Any, key: str, value: str) -> ColumnElement[bool]:
    spelled = [json.dumps(value), json.dumps(value, ensure_ascii=False)]
    if _PLAIN.fullmatch(value):
        spelled.append(value)
    # Keys are stored with escapes for all but ASCII, and older versions of SQLite compare them as they are written.
    return or_(*(cast(column[each], Text).in_(spelled) for each in _keys(key)))


def _is_on_sqlite(column: Any, key: str, value: str) -> ColumnElement[bool]:
    """SQLite extracts true as 1: the type tells them apart."""
    if value in _SQLITE_BOOLEANS:
        return or_(*(_type(column, each) == value for each in _keys(key)), _is(column, key, value))
    if value not in _SQLITE_BOOLEANS.values():
        return _is(column, key, value)
    is_boolean = or_(*(_type(column, each).in_(_SQLITE_BOOLEANS) for each in _keys(key)))
    return and_(_is(column, key, value), not_(is_boolean))


def _keys(key: str) -> list[str]:
    return sorted({key, json.dumps(key)[1:-1]})


def _type(column: Any, key: str) -> ColumnElement[Any]:
    return func.coalesce(func.json_type(column, f'$."{key}"'), "")
