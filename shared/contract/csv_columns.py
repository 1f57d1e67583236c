"""The columns of an item in a table: their names and kinds, and an item as a line of CSV."""

import json
from collections.abc import Mapping
from enum import Enum, auto

from shared.clock import rfc3339
from shared.contract.csv_cells import plain_cell, safe_cell
from shared.contract.reviews import ReviewPayload
from shared.ids import item_id
from shared.store.records import ItemRecord, JudgeRecord


class Kind(Enum):
    """The values that a column holds."""

    TEXT = auto()
    WORD = auto()  # one of a few texts
    NUMBER = auto()
    COUNT = auto()
    TIME = auto()  # with the precision of a millisecond
    WORDS = auto()  # separated by spaces in CSV
    JSON = auto()  # an object as JSON text


COLUMNS = {
    "id": Kind.TEXT,
    "filename": Kind.TEXT,
    "custom_id": Kind.TEXT,
    "status": Kind.WORD,
    "verdict": Kind.WORD,
    "score": Kind.NUMBER,
    "threshold": Kind.NUMBER,
    "model_sha256": Kind.WORD,
    "attempts": Kind.COUNT,
    "error_code": Kind.WORD,
    "error_detail": Kind.TEXT,
    "sha256": Kind.TEXT,
    "created_at": Kind.TIME,
    "finished_at": Kind.TIME,
    "reasons": Kind.WORDS,
    "part_id": Kind.TEXT,
    "view": Kind.TEXT,
    "metadata": Kind.JSON,
    "frame": Kind.COUNT,
    "raw_score": Kind.NUMBER,
    "review_low": Kind.NUMBER,
    "review_high": Kind.NUMBER,
    "unfamiliarity": Kind.NUMBER,
    "preprocessing_sha256": Kind.WORD,
    "worker": Kind.WORD,
    "device": Kind.WORD,
    "kind": Kind.WORD,
    "network": Kind.WORD,
    "review_verdict": Kind.WORD,
    "review_by": Kind.WORD,
    "review_at": Kind.TIME,
    "review_note": Kind.TEXT,
    "cached_from": Kind.TEXT,
    "queue_ms": Kind.NUMBER,
    "decode_ms": Kind.NUMBER,
    "infer_ms": Kind.NUMBER,
}
CSV_COLUMNS = tuple(COLUMNS)


def csv_line(
    row: ItemRecord,
    judges: Mapping[int, JudgeRecord],
    review: ReviewPayload | None = None,
    *,
    spreadsheet: bool = True,
) -> str:
    """An item as a line of RFC 4180 with the CSV_COLUMNS; without `spreadsheet`, texts are exactly as sent.

    Spelled here and not by `csv`, which looks at every character of every cell: only the texts that a client chose
    can need quotes.
    """
    cell = safe_cell if spreadsheet else plain_cell
    score, threshold, raw, low, high, unfamiliarity, queue, decode, infer = (
        "" if value is None else value
        for value in (
            row.score, row.threshold, row.raw_score, row.review_low, row.review_high, row.unfamiliarity,
            row.queue_ms, row.decode_ms, row.infer_ms,
        )
    )  # fmt: skip
    judge = None if row.judge_id is None else judges[row.judge_id]
    evidence = ",," if judge is None else f"{judge.preprocessing_sha256},{judge.worker},{cell(judge.device)}"
    persons = ",,,"
    if review is not None:
        persons = f"{review['verdict']},{cell(review['by'])},{review['at']},{cell(review['note'])}"
    return (
        f"{item_id(row.batch_id, row.seq)},{cell(row.filename)},{cell(row.custom_id)},{row.status},"
        f"{row.verdict or ''},{score},{threshold},{row.model_sha256 or ''},{row.attempts},{row.error_code or ''},"
        f"{cell(row.error_detail)},{row.sha256 or ''},{rfc3339(row.created_at)},{rfc3339(row.finished_at) or ''},"
        f"{(row.reasons or '').replace(',', ' ')},{cell(row.part_id)},{cell(row.view)},"
        f"{plain_cell(json.dumps(row.metadata, ensure_ascii=False)) if row.metadata else ''},{row.frame or ''},"
        f"{raw},{low},{high},{unfamiliarity},{evidence},{cell(row.kind)},"
        f"{(judge and judge.network) or ''},{persons},{row.cached_from or ''},{queue},{decode},{infer}\r\n"
    )
