"""Keyset cursors: the sort key of the last row, bound to the list, filters and sort that made the cursor."""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from shared import json_text
from shared.contract.problems import ErrorEntry
from web.http.problems import HttpProblem

# A row's time that is less than this before a walk's first page may be committed after it: it counts as later.
SETTLED_S = 2.0
_WITHOUT = {"cursor", "limit"}  # a client may change the size of its pages


class Cursors:
    """The cursors of one list with one set of filters; another list, filter or sort refuses them."""

    def __init__(self, *listed: str, query: Mapping[str, Any]) -> None:
        kept = {name: value for name, value in query.items() if name not in _WITHOUT}
        text = json.dumps([listed, kept], sort_keys=True)
        self._binding = hashlib.sha256(text.encode()).hexdigest()[:8]
        self._given = query.get("cursor")

    def encode(self, *values: object) -> str:
        """The cursor after a row with these sort values."""
        text = json.dumps([self._binding, *values], ensure_ascii=False)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def decode(self, *kinds: type) -> list[Any] | None:
        """The sort values of the cursor in the query, or None for the first page.

        Raises 400 unless the cursor is of this list and holds one value of each of these types, in this order.
        """
        if not self._given:
            return None
        padded = self._given + "=" * (-len(self._given) % 4)
        try:
            values = json_text.parse(base64.urlsafe_b64decode(padded))
        except (ValueError, binascii.Error):
            values = None
        if not isinstance(values, list) or not _fit(values[1:], kinds):
            raise _refused("this cursor is not one of ours")
        if values[0] != self._binding:
            raise _refused("this cursor is of another list, or of other filters or another sort")
        return values[1:]


def _refused(why: str) -> HttpProblem:
    entry = ErrorEntry(code="invalid_cursor", pointer="/query/cursor", detail=why)
    return HttpProblem(400, "invalid_cursor", why, errors=[entry])


def _fit(values: list[Any], kinds: tuple[type, ...]) -> bool:
    if [type(value) for value in values] != list(kinds) or next(json_text.faults(values), None):
        return False
    numbers = [value for value in values if isinstance(value, int | float)]
    return all(math.isfinite(value) and abs(value) < 2**40 for value in numbers)
