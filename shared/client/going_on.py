"""Rows of a result file over connections that break: the next one goes on behind the last whole row that came."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.client.errors import ApiError, ResultsCut, Unreachable
from shared.client.transport import Answer

Cut = Callable[[int], None]
Stream = tuple[Answer, Iterator[bytes]]
Open = Callable[[str | None], contextlib.AbstractContextManager[Stream]]
_ID = re.compile(rb'(?:\{"id":")?(itm_[0-9a-hjkmnp-tv-z]{32})[",]')  # at the start of a row of NDJSON or CSV
_FRUITLESS = 3  # connections in a row that break off before a further row
PAUSE_S = 0.1


@dataclass(slots=True)
class ResultsFile:
    """`incomplete`: the batch still runs, so that some items have no verdict yet; read it after the blocks too, since
    a batch may be retried meanwhile. `blocks` raise ResultsCut."""

    incomplete: bool
    blocks: Iterator[bytes]


def is_running(answer: Answer) -> bool:
    """Whether the service says that the batch of these results still runs."""
    return answer.headers.get("X-Incomplete") == "true"


def rows(file: ResultsFile, first: Stream, open_: Open, cut: Cut | None) -> Iterator[bytes]:
    """Blocks of whole rows. `cut(rows)` is called before each further connection.

    Raises ResultsCut where it can't go on: the batch was deleted or rescored meanwhile, or no connection gets further.
    """
    (answer, blocks), number, last, fruitless = first, 0, None, 0
    revision = answer.headers.get("X-Revision")
    with contextlib.ExitStack() as opened:
        while True:
            rest = b""
            try:
                for block in blocks:
                    whole, end, rest = (rest + block).rpartition(b"\n")
                    if found := _ID.match(whole[whole.rfind(b"\n") + 1 :]):
                        last, fruitless = found[1].decode(), 0
                        number += whole.count(b"\n") + (1 if _ID.match(whole) else 0)  # a header is no row
                        yield whole + end
                    else:
                        # A header line alone: it comes again where the file begins again.
                        rest = whole + end + rest
                if rest:
                    yield rest
                return
            except ResultsCut as error:
                fruitless += 1
                if fruitless > _FRUITLESS:
                    raise
                if cut is not None:
                    cut(number)
                time.sleep(PAUSE_S * 2**fruitless)
                opened.close()
                try:
                    answer, blocks = opened.enter_context(open_(last))
                except (ApiError, Unreachable) as why:
                    raise error from why
            if answer.headers.get("X-Revision") != revision:
                raise ResultsCut("the batch was rescored meanwhile: ask for its results from the beginning")
            file.incomplete |= is_running(answer)
