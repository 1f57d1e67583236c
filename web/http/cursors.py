"""Keyset cursors: the sort key of the last row, in base64, so that pages stay stable while a batch runs."""

import base64
import binascii
import json
import math
from typing import Any

from flask import request

from web.http.problems import HttpProblem


def encode(values: list[Any]) -> str:
    """The cursor after a row with these sort values."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode(*kinds: type) -> list[Any] | None:
    """The sort values of the request's `cursor`, or None for the first page; raises 400 unless it holds one
    value of each of these types, in this order."""
    text = request.args.get("cursor")
    if not text:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        values = None
    if (
        not isinstance(values, list)
        or [type(value) for value in values] != list(kinds)
        or any(isinstance(value, int | float) and not abs(value) < 2**31 for value in values)
    ):
        raise HttpProblem(400, "invalid_cursor", "this cursor is not one of ours")
    return values


def limit(default: int, most: int) -> int:
    """The request's `limit`; raises 400 where it is no number from 1 to `most`."""
    value = request.args.get("limit", default)
    try:
        number = int(value)
    except ValueError:
        number = 0
    if not 1 <= number <= most:
        raise HttpProblem(400, "invalid_parameter", f"limit is a number from 1 to {most}")
    return number


def number(name: str) -> float | None:
    """A numeric query parameter."""
    value = request.args.get(name)
    if value is None:
        return None
    try:
        given = float(value)
    except ValueError:
        given = math.nan
    if not math.isfinite(given):
        raise HttpProblem(400, "invalid_parameter", f"{name} is a number")
    return given
