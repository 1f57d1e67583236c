"""Text that a client sent is shown in the order of its characters."""

import sys
import unicodedata

from shared.contract.visible import visible

TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = {"LEFT-TO-RIGHT MARK", "RIGHT-TO-LEFT MARK", "ARABIC LETTER MARK"}


def test_a_name_that_turns_its_own_order_is_shown_with_what_turns_it() -> None:
    assert visible("a\u202egpj.exe.jpg") == r"a\u202egpj.exe.jpg"


def test_exactly_the_characters_that_control_the_direction_are_written_out() -> None:
    written = {char for char in map(chr, range(sys.maxunicode + 1)) if visible(char) != char}
    assert written == {
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if unicodedata.bidirectional(char) in TURNING or unicodedata.name(char, "") in MARKS
    }
