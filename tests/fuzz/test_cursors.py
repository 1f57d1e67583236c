"""Any text as a cursor: the values of a cursor that this list made, or 400 `invalid_cursor`."""

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from web.http.cursors import Cursors
from web.http.problems import HttpProblem

MADE = Cursors("items", query={"sort": "-score"}).encode(0.5, 7)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def read(cursor: str) -> list[Any] | None:
    """The values, or None for a cursor that is refused; anything else that is raised fails the test."""
    try:
        return Cursors("items", query={"sort": "-score", "cursor": cursor}).decode(float, int)
    except HttpProblem as problem:
        assert (problem.status, problem.code) == (400, "invalid_cursor")
        return None


def test_a_cursor_of_the_list_is_read() -> None:
    assert read(MADE) == [0.5, 7]


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_fuzz_any_text(cursor: str) -> None:
    values = read(cursor)
    assert values is None or [type(value) for value in values] == [float, int]


@given(st.lists(VALUES, max_size=4))
def test_fuzz_any_json(values: list[Any]) -> None:
    binding = json.loads(base64.urlsafe_b64decode(MADE + "=" * (-len(MADE) % 4)))[0]
    for asked in (values, [binding, *values]):
        text = base64.urlsafe_b64encode(json.dumps(asked).encode()).decode().rstrip("=")
        found = read(text)
        assert found is None or [type(value) for value in found] == [float, int]


@given(st.integers(0, len(MADE) - 1), st.characters(max_codepoint=127))
def test_fuzz_one_changed_character(place: int, character: str) -> None:
    read(MADE[:place] + character + MADE[place + 1 :])
