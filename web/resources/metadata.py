"""The filter `metadata.KEY=VALUE`, on SQLite and PostgreSQL."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Text, cast

_PLAIN = re.compile(r"true|false|-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_SQLITE_BOOLEANS = {"true": "1", "false": "0"}  # as its JSON_EXTRACT gives them


def noted(column: Any, asked: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """A condition for each member: its JSON text is the value as a text, number or boolean is written in JSON."""
    return [cast(column[key], Text).in_(_spelled(value)) for key, value in asked.items()]


def _spelled(value: str) -> list[str]:
    spelled = {json.dumps(value), json.dumps(value, ensure_ascii=False)}
    if _PLAIN.fullmatch(value):
        spelled |= {value, _SQLITE_BOOLEANS.get(value, value)}
    return sorted(spelled)
