"""A record that lags behind its table would name a neighbour's value."""

from typing import Any, NamedTuple, get_args, get_type_hints

import pytest
from sqlalchemy import JSON, Table

from shared.store import records, tables
from shared.store.records import BatchRecord
from shared.store.rescoring_records import RescoringRecord
from shared.store.shadow_records import ShadowRecord
from shared.store.worker_records import WorkerRecord

PAIRS: list[tuple[type[NamedTuple], type[tables.Base]]] = [
    (records.ApiKeyRecord, tables.ApiKey),
    (records.AuditRecord, tables.AuditEntry),
    (records.ModelRecord, tables.ModelVersion),
    (records.BatchRecord, tables.Batch),
    (records.BatchEventRecord, tables.BatchEvent),
    (records.ChunkRecord, tables.Chunk),
    (records.ItemRecord, tables.Item),
    (records.JudgeRecord, tables.Judge),
    (records.PartRecord, tables.Part),
    (RescoringRecord, tables.Rescoring),
    (ShadowRecord, tables.Shadow),
    (records.DeliveryRecord, tables.Delivery),
    (records.AttemptRecord, tables.Attempt),
    (records.EndpointRecord, tables.WebhookEndpoint),
    (records.DriftWindowRecord, tables.DriftWindow),
    (records.QuotaRecord, tables.Quota),
    (WorkerRecord, tables.Worker),
]


def expected(table: type[tables.Base], column: Any) -> Any:
    """A JSON column's document is the one that the table declares; another type is that of the database's values."""
    if isinstance(column.type, JSON):
        name = table.__mapper__.get_property_by_column(column).key
        (declared,) = get_args(get_type_hints(table)[name])
        return declared
    kind: Any = column.type.python_type
    return kind | None if column.nullable else kind


@pytest.mark.parametrize(("record", "table"), PAIRS, ids=[table.__name__ for _, table in PAIRS])
def test_a_record_has_its_tables_columns_in_their_order_and_types(
    record: Any, table: type[tables.Base]
) -> None:
    rows = table.__table__
    assert isinstance(rows, Table)
    assert record._fields == tuple(rows.columns.keys())
    hints = get_type_hints(record)
    assert {name: hints[name] for name in record._fields} == {
        column.name: expected(table, column) for column in rows.columns
    }


def test_every_record_is_held_against_a_table() -> None:
    made = {
        value for value in vars(records).values() if isinstance(value, type) and hasattr(value, "_fields")
    }
    assert made | {RescoringRecord, ShadowRecord, WorkerRecord} == {record for record, _ in PAIRS}


def test_a_record_is_frozen() -> None:
    row = BatchRecord._make([None] * len(BatchRecord._fields))
    with pytest.raises(AttributeError):
        row.status = "completed"  # type: ignore[misc]
