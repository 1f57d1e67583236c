"""Texts in the cells of CSV files that a spreadsheet may open: none is run as a formula, and each can be read back.

Spreadsheets take some first characters for the beginning of a formula. A quote before them makes them text. A text that
has such quotes of its own gets one more, so that taking one off gives back every text.
"""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_DEFUSED = re.compile(r"'+[=+\-@\t\r]")
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def defused(text: str) -> str:
    """The text as a spreadsheet may read it."""
    return "'" + text if _FORMULA.match(text) else text


def restored(text: str) -> str:
    """The text that `defused` was given."""
    return text[1:] if _DEFUSED.match(text) else text


def plain_cell(text: str | None) -> str:
    """A text as a cell of RFC 4180, exactly as it is; None is an empty cell."""
    if not text:
        return ""
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def safe_cell(text: str | None) -> str:
    """A text that a client chose, defused, as a cell of RFC 4180."""
    return plain_cell(defused(text)) if text else ""
