"""No cell of a CSV file is a formula, and each text can be read back from its cell."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.contract.csv_cells import defused, restored, safe_cell

_STARTS = ("=", "+", "-", "@", "\t", "\r")
_TEXTS = st.one_of(st.text(), st.text("'=+-@\t\r,\"\na", max_size=6))


@given(_TEXTS)
@example("'=1+1")
@example("''")
def test_each_text_is_defused_and_read_back(text: str) -> None:
    assert not defused(text).startswith(_STARTS)
    assert restored(defused(text)) == text
    if text:
        [[cell]] = csv.reader(io.StringIO(safe_cell(text), newline=""))
        assert restored(cell) == text


@pytest.mark.parametrize("text", ["a=b", "'quoted'", "4711", "it's", "", "'"])
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    assert defused(text) == restored(text) == text
