"""Many batches and parts in a database, as uploads and workers would leave them, made by the database itself.

A part in 50 is a defect, and another one is in review; the views of a part have its verdict.
"""

from sqlalchemy import Connection, text

from shared.clock import now
from shared.ids import new_id
from shared.store.engine import Database

_SERIES = {  # by whether the database is SQLite
    True: "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1) "
    "SELECT {columns} FROM n",
    False: "SELECT {columns} FROM generate_series(0, :count - 1) AS n(i)",
}
VIEWS = 2
_HIGHEST = "CASE (2 * i) % 997 WHEN 996 THEN 996 ELSE (2 * i + 1) % 997 END"  # of the two views of part i
_VERDICT = "CASE {part} % 50 WHEN 0 THEN 'defect' WHEN 1 THEN 'review' ELSE 'no_defect' END"


def _score(part: str, of_997: str) -> str:
    """A score that has the verdict of the part, at the point of the batches."""
    share = f"({of_997}) / 997.0"
    return (
        f"CASE {part} % 50 WHEN 0 THEN 0.601 + 0.399 * {share} WHEN 1 THEN 0.4 + 0.199 * {share}"
        f" ELSE 0.399 * {share} END"
    )


def fill(database: Database, tenant: str, *, batches: int, parts: int) -> list[str]:
    """So many ended batches of `parts` parts of VIEWS items each; SN-0 to SN-<parts - 1> are in every batch."""
    made = [new_id("bat") for _ in range(batches)]
    for number, batch_id in enumerate(made):
        with database.write() as connection:
            if not database.is_sqlite:
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a million rows at once
            _insert(connection, database.is_sqlite, tenant, batch_id, f"lot-{number}", parts)
    with database.write() as connection:
        connection.execute(text("ANALYZE"))
    return made


def _insert(
    connection: Connection, is_sqlite: bool, tenant: str, batch_id: str, lot: str, parts: int
) -> None:
    total = VIEWS * parts
    given = {"batch": batch_id, "tenant": tenant, "lot": lot, "at": now(), "total": total, "parts": parts}
    given |= {"defect": -(-parts // 50), "review": -(-(parts - 1) // 50)}
    connection.execute(
        text(
            "INSERT INTO batches (id, tenant, status, outcome, origin, lane, sealed, model_id, threshold,"
            " review_low, review_high, metadata, on_error, total, queued, processing, succeeded, failed, cancelled,"
            " expired, defect, no_defect, review, bytes, version, created_at, started_at, finished_at, retention_s,"
            " lot, parts, defect_parts, no_defect_parts, review_parts) SELECT :batch, :tenant, 'completed',"
            " 'all_succeeded', 'batch', 'low', true, min(id), 0.5, 0.4, 0.6, '{}', 'continue', :total, 0, 0, :total, 0,"
            f" 0, 0, {VIEWS} * :defect, :total - {VIEWS} * (:defect + :review), {VIEWS} * :review, 0, 1, :at, :at, :at,"
            " 1e9, :lot, :parts, :defect, :parts - :defect - :review, :review FROM model_versions"
        ),
        given,
    )
    columns = {
        "items": (
            'batch_id, seq, filename, custom_id, pack, "offset", length, status, verdict, score, attempts, created_at,'
            " finished_at, part_id, view, threshold, review_low, review_high",
            f":batch, i, i || '.jpg', 'c-' || i, 0, i, 1, 'succeeded', {_VERDICT.format(part=f'(i / {VIEWS})')},"
            f" {_score(f'(i / {VIEWS})', 'i % 997')}, 1, :at, :at,"
            f" 'SN-' || (i / {VIEWS}), 'view-' || (i % {VIEWS}), 0.5, 0.4, 0.6",
            total,
        ),
        "parts": (
            "batch_id, part_id, tenant, total, verdict, created_at, finished_at, score, held",
            f":batch, 'SN-' || i, :tenant, {VIEWS}, {_VERDICT.format(part='i')}, :at, :at, {_score('i', _HIGHEST)}, 0",
            parts,
        ),
    }
    for table, (names, values, count) in columns.items():
        series = _SERIES[is_sqlite].format(columns=values)
        insert = f"INSERT INTO {table} ({names}) {series}"
        named = {name: value for name, value in given.items() if f":{name}" in insert}
        connection.execute(text(insert), {**named, "count": count})
