"""The one checker: what must hold after any fault, whatever it was.

An independent witness helps it: triggers in the database write a line each time an item gets a terminal state and
each time a batch ends, so that a verdict that was overwritten by a second one is seen too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, literal_column, select, text

from shared.blobs.store import BlobStore
from shared.contract.states import FINISHED_ITEM, ItemStatus, Verdict
from shared.lifecycle import judged
from shared.store.engine import Database
from shared.store.tables import Batch, Chunk, Delivery, Item, Part
from tests.harness.part_faults import part_faults

_TERMINAL = ", ".join(f"'{status}'" for status in sorted(FINISHED_ITEM))
_SQLITE = (
    "CREATE TABLE witness (what text, batch_id text, seq integer)",
    f"""CREATE TRIGGER witness_item AFTER UPDATE OF status ON items WHEN NEW.status IN ({_TERMINAL})
    BEGIN INSERT INTO witness VALUES ('item', NEW.batch_id, NEW.seq); END""",
    f"""CREATE TRIGGER witness_refused AFTER INSERT ON items WHEN NEW.status IN ({_TERMINAL})
    BEGIN INSERT INTO witness VALUES ('item', NEW.batch_id, NEW.seq); END""",
    """CREATE TRIGGER witness_batch AFTER UPDATE OF finished_at ON batches WHEN NEW.finished_at IS NOT NULL
    BEGIN INSERT INTO witness VALUES ('batch', NEW.id, -1); END""",
    "CREATE TABLE witness_parts (batch_id text, part_id text)",
    """CREATE TRIGGER witness_part AFTER UPDATE OF verdict ON parts WHEN NEW.verdict IS NOT NULL
    BEGIN INSERT INTO witness_parts VALUES (NEW.batch_id, NEW.part_id); END""",
)
_POSTGRESQL = (
    "CREATE TABLE witness (what text, batch_id text, seq integer)",
    """CREATE FUNCTION witness_item() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO witness VALUES ('item', NEW.batch_id, NEW.seq); RETURN NULL; END $$""",
    """CREATE FUNCTION witness_batch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO witness VALUES ('batch', NEW.id, -1); RETURN NULL; END $$""",
    f"""CREATE TRIGGER witness_item AFTER UPDATE OF status ON items FOR EACH ROW
    WHEN (NEW.status IN ({_TERMINAL})) EXECUTE FUNCTION witness_item()""",
    f"""CREATE TRIGGER witness_refused AFTER INSERT ON items FOR EACH ROW
    WHEN (NEW.status IN ({_TERMINAL})) EXECUTE FUNCTION witness_item()""",
    """CREATE TRIGGER witness_batch AFTER UPDATE OF finished_at ON batches FOR EACH ROW
    WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION witness_batch()""",
    "CREATE TABLE witness_parts (batch_id text, part_id text)",
    """CREATE FUNCTION witness_part() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO witness_parts VALUES (NEW.batch_id, NEW.part_id); RETURN NULL; END $$""",
    """CREATE TRIGGER witness_part AFTER UPDATE OF verdict ON parts FOR EACH ROW
    WHEN (NEW.verdict IS NOT NULL) EXECUTE FUNCTION witness_part()""",
)


@dataclass
class Seen:
    """Findings of the checker: any of `troubles` is red; `extra` counts inferences beyond one per item."""

    batches: int = 0
    items: int = 0
    parts: int = 0
    lost: int = 0
    doubled: int = 0
    unexpected: int = 0
    extra: int = 0
    troubles: list[str] = field(default_factory=list)

    def fail(self, trouble: str) -> None:
        self.troubles.append(trouble)


def watch(database: Database) -> None:
    """Install the witness in a migrated database."""
    with database.write() as connection:
        for statement in _SQLITE if database.is_sqlite else _POSTGRESQL:
            connection.exec_driver_sql(statement)


def check(database: Database, blobs: BlobStore, accepted: Mapping[str, int]) -> Seen:
    """Hold the whole database and store against what was accepted: items by the batch's id, all batches ended."""
    seen = Seen()
    with database.read() as connection:
        batches = connection.execute(select(Batch.__table__)).all()
        by_status = {
            (row[0], row[1]): row[2]
            for row in connection.execute(
                select(Item.batch_id, Item.status, func.count()).group_by(Item.batch_id, Item.status)
            )
        }
        by_verdict = {
            (row[0], row[1]): row[2]
            for row in connection.execute(
                select(Item.batch_id, judged.NOW.label("judged"), func.count())
                .join(Batch, Batch.id == Item.batch_id)
                .group_by(Item.batch_id, literal_column("judged"))
            )
        }
        extra = select(func.sum(Item.attempts - 1)).where(
            Item.attempts > 1, Item.status != ItemStatus.CANCELLED
        )
        seen.extra = int(connection.scalar(extra) or 0)
        witnessed = connection.execute(
            text("SELECT what, batch_id, seq, count(*) FROM witness GROUP BY 1, 2, 3")
        ).all()
        deliveries = connection.execute(
            select(Delivery.batch_id, func.count())
            .where(Delivery.subject == "", Delivery.endpoint_id == "")
            .group_by(Delivery.batch_id)
        ).all()
        batchless = Delivery.batch_id.not_in(select(Batch.id))
        left = select(func.count()).where(
            Delivery.batch_id != "", batchless, Delivery.status.in_(("delivered", "exhausted"))
        )
        if number := connection.scalar(left):
            seen.fail(f"{number} ended deliveries outlived their batch")
        seen.troubles += part_faults(connection)
        seen.parts = int(connection.scalar(select(func.count()).select_from(Part)) or 0)
        repeated = connection.execute(
            text("SELECT batch_id, part_id, count(*) FROM witness_parts GROUP BY 1, 2 HAVING count(*) > 1")
        ).all()
        seen.troubles += [f"{row[0]} {row[1]} was given a verdict {row[2]} times" for row in repeated]
        places = connection.execute(
            select(Item.batch_id, Item.pack, func.max(Item.offset + Item.length))
            .where(Item.length > 0)
            .group_by(Item.batch_id, Item.pack)
        ).all()
        open_chunks = connection.scalar(select(func.count()).select_from(Chunk).where(Chunk.status != "done"))

    ids = {row.id for row in batches}
    for batch_id in accepted.keys() - ids:
        seen.lost += accepted[batch_id]
        seen.fail(f"{batch_id} was accepted and has no row")
    decided = {(row[1], row[2]): row[3] for row in witnessed if row[0] == "item"}
    ended = {row[1]: row[3] for row in witnessed if row[0] == "batch"}
    twice = [place for place, times in decided.items() if times > 1 and place[0] in ids]
    seen.doubled = len(twice)
    if twice:
        seen.fail(f"{len(twice)} items were given a terminal state twice, such as {twice[0]}")
    owed = {row[0]: row[1] for row in deliveries}
    for row in batches:
        seen.batches += 1
        counts = {status: by_status.get((row.id, status.value), 0) for status in ItemStatus}
        items = sum(counts.values())
        seen.items += items
        if row.id not in accepted:
            seen.unexpected += items
            seen.fail(f"{row.id} ({items} items) was never accepted")
            continue
        lost = accepted[row.id] - sum(counts[status] for status in FINISHED_ITEM)
        if lost > 0:
            seen.lost += lost
            seen.fail(f"{row.id}: {lost} of {accepted[row.id]} items have no terminal state")
        elif lost < 0 or items != accepted[row.id]:
            seen.unexpected += items - accepted[row.id]
            seen.fail(f"{row.id}: {items} items where {accepted[row.id]} were accepted")
        if row.total != accepted[row.id]:
            seen.fail(f"{row.id}: total is {row.total}, {accepted[row.id]} were accepted")
        for status, count in counts.items():
            if getattr(row, status.value) != count:
                seen.fail(f"{row.id}: counter {status} is {getattr(row, status.value)}, rows are {count}")
        for verdict in Verdict:
            count = by_verdict.get((row.id, verdict.value), 0)
            if getattr(row, verdict.value) != count:
                seen.fail(f"{row.id}: counter {verdict} is {getattr(row, verdict.value)}, rows are {count}")
        if ended.get(row.id, 0) != 1 or row.finished_at is None:
            seen.fail(f"{row.id} ended {ended.get(row.id, 0)} times; its status is {row.status}")
        if row.webhook and owed.get(row.id, 0) != 1:
            seen.fail(f"{row.id} owes {owed.get(row.id, 0)} completion events")
    if open_chunks:
        seen.fail(f"{open_chunks} chunks are not done")
    _check_bytes(seen, blobs, ids, {(row[0], row[1]): row[2] for row in places})
    return seen


def _check_bytes(
    seen: Seen, blobs: BlobStore, batch_ids: set[str], packs: Mapping[tuple[str, int], int]
) -> None:
    for batch_id in blobs.batch_ids():
        if batch_id not in batch_ids:
            seen.fail(f"the bytes of {batch_id} have no row")
    for (batch_id, pack), size in packs.items():
        path = blobs.pack_path(batch_id, pack)
        if not path.is_file() or path.stat().st_size < size:
            seen.fail(f"{path.name} of {batch_id} is missing or short")
    left = [path for path in _files(blobs.root) if path.suffix == ".tmp"]
    if left:
        seen.fail(f"{len(left)} temporary files are left, such as {left[0].name}")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
