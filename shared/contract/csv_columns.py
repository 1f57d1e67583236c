"""An item as a line of CSV."""

import json
import re
from collections.abc import Mapping

from shared.clock import rfc3339
from shared.ids import item_id
from shared.store.records import ItemRecord, JudgeRecord

_NEEDS_QUOTES = re.compile(r'[",\r\n]')
CSV_COLUMNS = (
    "id", "filename", "custom_id", "status", "verdict", "score", "threshold", "model_sha256", "attempts",
    "error_code", "error_detail", "sha256", "created_at", "finished_at", "reasons",
    "part_id", "view", "metadata", "frame",
    "raw_score", "review_low", "review_high", "unfamiliarity", "preprocessing_sha256", "worker", "device",
)  # fmt: skip


def csv_line(row: ItemRecord, judges: Mapping[int, JudgeRecord], *, spreadsheet: bool = True) -> str:
    """An item as a line of RFC 4180 with the CSV_COLUMNS; without `spreadsheet`, names are exactly as sent.

    Spelled here and not by `csv`, which looks at every character of every cell: only the names that a client chose
    can need quotes.
    """
    cell = _safe_cell if spreadsheet else _cell
    score, threshold, raw, low, high, unfamiliarity = (
        "" if value is None else value
        for value in (
            row.score, row.threshold, row.raw_score, row.review_low, row.review_high, row.unfamiliarity
        )
    )  # fmt: skip
    judge = None if row.judge_id is None else judges[row.judge_id]
    evidence = ",," if judge is None else f"{judge.preprocessing_sha256},{judge.worker},{_cell(judge.device)}"
    return (
        f"{item_id(row.batch_id, row.seq)},{cell(row.filename)},{cell(row.custom_id)},{row.status},"
        f"{row.verdict or ''},{score},{threshold},{row.model_sha256 or ''},{row.attempts},{row.error_code or ''},"
        f"{cell(row.error_detail)},{row.sha256 or ''},{rfc3339(row.created_at)},{rfc3339(row.finished_at) or ''},"
        f"{(row.reasons or '').replace(',', ' ')},{cell(row.part_id)},{cell(row.view)},"
        f"{_cell(json.dumps(row.metadata, ensure_ascii=False)) if row.metadata else ''},{row.frame or ''},"
        f"{raw},{low},{high},{unfamiliarity},{evidence}\r\n"
    )


def _safe_cell(text: str | None) -> str:
    """A text that a client chose, harmless for spreadsheets, which take some first characters for a formula's."""
    return _cell("'" + text if text and text[0] in "=+-@\t\r" else text)


def _cell(text: str | None) -> str:
    if not text:
        return ""
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text
