"""The items of a batch as a Parquet file, written one row group after the other.

The footer, which holds the places of the row groups, comes last: no reader opens a file that was cut before it.
"""

import importlib.util
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from typing_extensions import Buffer

from shared.contract.csv_columns import COLUMNS, Kind
from shared.ids import item_id
from shared.lifecycle.judges import Judges
from shared.lifecycle.reviews import Reviews
from shared.store.records import BatchRecord
from web.resources.results import Block

if TYPE_CHECKING:
    import pyarrow

MEDIA_TYPE = "application/vnd.apache.parquet"
GROUP_ROWS, GROUP_BYTES = (
    20_000,
    2**23,
)  # a row group is in memory until it is written: its items may be large


def installed() -> bool:
    """Whether pyarrow, the extra `parquet`, is installed."""
    return importlib.util.find_spec("pyarrow") is not None


class _Sink:
    """Takes the bytes that the writer has made; `taken` hands them on, so that the file is never held as a whole."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, data: Buffer) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None: ...

    def writable(self) -> bool:
        return True

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def parquet(found: Iterator[Block], batch: BatchRecord, *, incomplete: bool) -> Iterator[bytes]:
    """The bytes of the file, with a row group for each 20,000 items, or for 8 MB of them.

    The metadata of the file says which batch it shows, and whether that batch still ran. Where `found` raises, no
    footer is sent.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    about = {
        "gonogo.batch_id": batch.id,
        "gonogo.incomplete": str(incomplete).lower(),
        "gonogo.revision": str(batch.revision),
    }
    schema = pyarrow.schema([(name, _type(kind)) for name, kind in COLUMNS.items()], metadata=about)
    sink = _Sink()
    writer = ParquetWriter(pyarrow.PythonFile(sink, mode="w"), schema)
    waiting: list[Any] = []
    held = size = 0
    for rows, judges, reviews in found:
        waiting.append(_table(rows, judges, reviews, schema))
        held, size = held + len(rows), size + waiting[-1].nbytes
        if held >= GROUP_ROWS or size >= GROUP_BYTES:
            writer.write_table(pyarrow.concat_tables(waiting), row_group_size=held)
            waiting, held, size = [], 0, 0
            yield sink.taken()
    if held:
        writer.write_table(pyarrow.concat_tables(waiting), row_group_size=held)
    writer.close()
    yield sink.taken()


def _type(kind: Kind) -> "pyarrow.DataType":
    import pyarrow

    return {
        Kind.TEXT: pyarrow.string(),
        Kind.WORD: pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
        Kind.NUMBER: pyarrow.float64(),
        Kind.COUNT: pyarrow.int32(),
        Kind.TIME: pyarrow.timestamp("ms", "UTC"),
        Kind.WORDS: pyarrow.list_(pyarrow.string()),
        Kind.JSON: pyarrow.string(),
    }[kind]


def _table(rows: list[Any], judges: Judges, reviews: Reviews, schema: "pyarrow.Schema") -> "pyarrow.Table":
    """A block of rows: built by columns, since Arrow takes a list of values faster than a list of rows."""
    import pyarrow

    columns: dict[str, object] = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
    columns["id"] = [item_id(row.batch_id, row.seq) for row in rows]
    known = [None if row.judge_id is None else judges[row.judge_id] for row in rows]
    for name in ("preprocessing_sha256", "worker", "device", "network"):
        columns[name] = [None if judge is None else getattr(judge, name) for judge in known]
    reviewed = [reviews.get((row.batch_id, row.seq)) for row in rows]
    columns["review_verdict"] = [review and review["verdict"] for review in reviewed]
    columns["review_by"] = [review and review["by"] for review in reviewed]
    columns["review_note"] = [review and review["note"] for review in reviewed]
    columns["review_at"] = [review and _seconds(review["at"]) for review in reviewed]
    for name, kind in COLUMNS.items():
        columns[name] = _values(kind, columns[name])
    arrays = [pyarrow.array(columns[field.name], field.type) for field in schema]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def _seconds(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def _values(kind: Kind, column: Any) -> Any:
    if kind is Kind.TIME:
        # As rfc3339() has it: rounded to microseconds, then cut to milliseconds.
        return [None if at is None else round(1e6 * at) // 1000 for at in column]
    if kind is Kind.WORDS:
        return [words.split(",") if words else [] for words in column]
    if kind is Kind.JSON:
        return [json.dumps(value, ensure_ascii=False) if value else None for value in column]
    return column
