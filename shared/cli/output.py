"""Printing: JSON for programs, aligned columns for people, progress on stderr."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

from shared.contract.visible import visible

_LINE_EVERY_S = 5.0
_DRAW_EVERY_S = 0.1
_BAR = 28


def print_json(value: object) -> None:
    """A JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns; control characters, as a file name may hold, do not reach the terminal."""
    cells = [list(titles), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def printable(value: object) -> str:
    """Text that can neither steer a terminal nor turn the order of its characters."""
    text = "-" if value is None else visible(str(value))
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    )


class Progress:
    """A line that is redrawn on a terminal, or a line every few seconds in a log."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._drawn = self._stream.isatty()
        self._last = 0.0
        self._width = 0

    def show(self, share: float, text: str, *, final: bool = False) -> None:
        """Draw, unless the last drawing is too recent; `share` is 0 to 1."""
        now = time.monotonic()
        if not final and now - self._last < (_DRAW_EVERY_S if self._drawn else _LINE_EVERY_S):
            return
        self._last = now
        percent = f"{min(max(share, 0.0), 1.0):4.0%}"
        if not self._drawn:
            print(f"{percent} {text}", file=self._stream, flush=True)
            return
        done = int(_BAR * min(max(share, 0.0), 1.0))
        line = f"{percent} [{'#' * done}{'.' * (_BAR - done)}] {text}"
        print(f"\r{line.ljust(self._width)}", end="\n" if final else "", file=self._stream, flush=True)
        self._width = 0 if final else len(line)


def megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
