"""Every item of a batch in blocks, in the order of submission, and the blocks as NDJSON and CSV."""

from collections import namedtuple
from collections.abc import Collection, Iterator
from typing import Any

import orjson
from sqlalchemy import bindparam, select

from shared.contract.csv_columns import CSV_COLUMNS, csv_line
from shared.contract.items import item_payload
from shared.contract.problems import ErrorEntry
from shared.contract.queries import ResultsQuery
from shared.ids import split_item_id
from shared.lifecycle import judged, judges, reviews
from shared.lifecycle.judges import Judges
from shared.lifecycle.reviews import Reviews
from shared.store.engine import Database
from shared.store.records import BatchRecord, JudgeRecord
from shared.store.tables import Batch, Item
from web.http.problems import HttpProblem
from web.resources.items import of_state

_ROWS = Item.__table__
# A block grows from a few rows, so that an export that no client reads has cost little when its buffers are full, and
# is bounded in bytes, since an item may have kilobytes of metadata and a block of each stream is in memory.
_FIRST_ROWS, MOST_ROWS, _BLOCK_BYTES, _LEAST_ROWS = 100, 2000, 2**19, 16
Block = tuple[list[Any], Judges, Reviews]  # rows, the judges of their verdicts, and the final reviews
ALL: tuple[str, ...] = tuple(_ROWS.columns.keys())
COLUMNS: tuple[str, ...] = (
    "batch_id",
    "seq",
    "judge_id",
    *CSV_COLUMNS,
)  # those that the columns of a table need


class CutShort(Exception):
    """Ends the connection without the body's end, by which the client sees that the results are not whole."""


def place_after(batch: BatchRecord, query: ResultsQuery) -> int:
    """The place of the item that `after` names, -1 without it. Raises 422 for an item of another batch."""
    if "after" not in query:
        return -1
    place = split_item_id(query["after"])
    if place is None or place[0] != batch.id or place[1] >= batch.total:
        why = f"{query['after']} is no item of {batch.id}"
        entry = ErrorEntry(code="invalid_parameter", pointer="/query/after", detail=why)
        raise HttpProblem(422, "invalid_parameter", why, errors=[entry])
    return place[1]


def blocks(
    database: Database, batch: BatchRecord, query: ResultsQuery, names: Collection[str]
) -> Iterator[Block]:
    """Blocks of rows by keyset, so that no transaction stays open however slowly the client reads.

    Raises CutShort at the end if rows are missing, since the batch was deleted while they were read.

    The rows are named tuples of the columns among `names`: a column of SQLAlchemy's Row costs a microsecond to read
    by name, a column of theirs some 0.03.
    """
    columns = [column for column in judged.columns(batch) if column.name in names]
    plain: Any = namedtuple("_Item", [column.name for column in columns])  # type: ignore[misc]
    conditions = of_state(batch, query)
    rows = select(*columns).where(Item.batch_id == batch.id, *conditions)
    rows = rows.order_by(Item.seq).limit(bindparam("most"))
    first = last = place_after(batch, query)
    known: dict[int, JudgeRecord] = {}
    sent, most = 0, _FIRST_ROWS
    with database.read() as connection:
        has_reviews = reviews.has_any(connection, batch.id)
    while True:
        with database.read() as connection:
            answer = connection.execute(rows.where(Item.seq > last), {"most": most})
            found: list[Any] = [plain._make(row) for row in answer]
            judges.of(connection, found, known)
            reviewed = (
                reviews.of(connection, [(row.batch_id, row.seq) for row in found]) if has_reviews else {}
            )
        if not found:
            break
        last = found[-1].seq
        sent += len(found)
        most = max(_LEAST_ROWS, min(2 * most, MOST_ROWS, _BLOCK_BYTES * len(found) // _weight(found)))
        yield found, known, reviewed
    if not conditions and sent != batch.total - 1 - first:
        raise CutShort(f"{sent} of {batch.total - 1 - first} items of {batch.id} were there: it was deleted")
    # A filter may leave any number of rows. Items are deleted with their batch: its row tells whether all were there.
    with database.read() as connection:
        revision = connection.scalar(select(Batch.revision).where(Batch.id == batch.id))
    if revision is None:
        raise CutShort(f"{batch.id} was deleted meanwhile")
    if revision != batch.revision:
        raise CutShort(f"{batch.id} was rescored meanwhile: some verdicts are of revision {batch.revision}")


def _weight(rows: list[Any]) -> int:
    """About the bytes of these rows in an answer."""
    noted = sum(len(repr(note)) for row in rows if (note := getattr(row, "metadata", None)))
    return noted + sum(200 + len(row.filename) for row in rows)


def ndjson(found: Iterator[Block]) -> Iterator[bytes]:
    """A line of JSON for each item."""
    for rows, known, reviewed in found:
        lines = [
            orjson.dumps(
                item_payload(row, known, reviewed.get((row.batch_id, row.seq)) if reviewed else None),
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for row in rows
        ]
        yield b"".join(lines)


def csv(found: Iterator[Block], *, spreadsheet: bool, header: bool) -> Iterator[bytes]:
    """A line of RFC 4180 for each item; the rest of a file that was cut has no `header`."""
    if header:
        yield (",".join(CSV_COLUMNS) + "\r\n").encode()
    for rows, known, reviewed in found:
        lines = [
            csv_line(
                row,
                known,
                reviewed.get((row.batch_id, row.seq)) if reviewed else None,
                spreadsheet=spreadsheet,
            )
            for row in rows
        ]
        yield "".join(lines).encode()
