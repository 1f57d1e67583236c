"""A batch that has ended gets a warning: API, pages and command line show the warnings of a batch."""

from sqlalchemy import Connection, select, update

from shared.contract.marks import BatchWarning
from shared.store.tables import Batch


def warn(connection: Connection, batch_id: str, warning: BatchWarning) -> None:
    """Put a warning before the others of a batch. A batch that has been purged gets none."""
    query = select(Batch.warnings).where(Batch.id == batch_id).with_for_update()
    row = connection.execute(query).first()
    if row is not None:
        change = update(Batch).where(Batch.id == batch_id)
        connection.execute(
            change.values(warnings=[warning, *(row.warnings or [])], version=Batch.version + 1)
        )
