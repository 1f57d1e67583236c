"""Rows of batches, items and chunks, and the workers' steps on them, for tests of the lifecycle."""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from shared.clock import now
from shared.contract.events import BATCH_EVENTS, ITEMS_COMPLETED, PART_COMPLETED
from shared.contract.manifests import Tags
from shared.contract.states import ChunkStatus, Reason
from shared.ids import new_id
from shared.lifecycle import claims, judged, leases, turns, uploads, verdicts
from shared.lifecycle.claims import Claim
from shared.lifecycle.received import Piece, ReceivedItem
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database, clock
from shared.store.tables import Batch, Chunk, Item

LANE = "normal"
CONTENTS = ("0" * 64, "1" * 64, "2" * 64)  # the sha256 of stored images
LONG_LEASE_S = 3600.0  # such a lease ends by a step of the test, never by the clock of a slow machine


def make_batch(database: Database, model_id: str, items: int = 4, per_chunk: int = 4, **changed: Any) -> str:
    """A sealed, queued batch of so many items."""
    batch_id = new_id("bat")
    row = {
        "id": batch_id, "tenant": "t", "status": "queued", "origin": "batch", "lane": LANE, "sealed": True,
        "model_id": model_id, "threshold": 0.5, "review_low": 0.4, "review_high": 0.6, "metadata_": {},
        "webhook": None, "on_error": "continue", "created_at": now(), "retention_s": 60.0, "total": items,
        "queued": items, **changed,
    }  # fmt: skip
    with database.write() as connection:
        connection.execute(insert(Batch).values(**row))
        for seq in range(items):
            connection.execute(
                insert(Item).values(
                    batch_id=batch_id, seq=seq, filename=f"{seq}.jpg", pack=0, offset=0, length=1,
                    status="queued", attempts=0, created_at=now(),
                )
            )  # fmt: skip
        for first in range(0, items, per_chunk):
            connection.execute(
                insert(Chunk).values(
                    **turns.PLACED,
                    batch_id=batch_id, first_seq=first, last_seq=min(first + per_chunk, items) - 1, pack=0,
                    lane=LANE, status="queued", attempts=0, enqueued_at=now(),
                ),
                {"in_batch": batch_id, "in_lane": LANE, "n_items": min(per_chunk, items - first)},
            )  # fmt: skip
    return batch_id


def claim_all(
    database: Database,
    lanes: Sequence[str] = (LANE,),
    micro_batch: int = 1,
    token: str = "mine",
    lease_s: float = 60,
) -> list[Claim]:
    with database.write() as connection:
        return claims.claim(
            connection, lanes=lanes, micro_batch=micro_batch, token=token, host="h", pid=1, lease_s=lease_s
        )


def claim(database: Database, token: str = "mine", lease_s: float = 60) -> Claim | None:
    """A chunk alone."""
    return next(iter(claim_all(database, token=token, lease_s=lease_s)), None)


def must_claim(database: Database, token: str = "mine", lease_s: float = 60) -> Claim:
    held = claim(database, token, lease_s)
    assert held is not None
    return held


def record(database: Database, held: Claim, **changed: Any) -> verdicts.Recorded | None:
    verdict = {"verdict": "defect", "score": 0.9, **changed}
    results = [Result(item.seq, **verdict) for item in held.items]
    with database.write() as connection:
        recorded, _ = verdicts.record(connection, [(held, results)], model_sha256="f" * 64)
    return recorded[0] if recorded else None


def run(database: Database, change: Callable[..., Any], *args: Any) -> Any:
    with database.write() as connection:
        return change(connection, *args)


def hand_back(database: Database, held: Claim, wait_s: float | None = None) -> bool:
    with database.write() as connection:
        return leases.release(connection, held, "model_refused", "it does not load", wait_s=wait_s)


def batch_row(database: Database, batch_id: str) -> Any:
    """The batch, whose counts must agree with its items."""
    with database.read() as connection:
        row = connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
        statuses = list(connection.scalars(select(Item.status).where(Item.batch_id == batch_id)))
        judged_now = select(judged.NOW).join(Batch, Batch.id == Item.batch_id)
        verdicts = list(connection.scalars(judged_now.where(Item.batch_id == batch_id)))
    for status in ("queued", "processing", "succeeded", "failed", "cancelled", "expired"):
        assert getattr(row, status) == statuses.count(status), status
    for verdict in ("defect", "no_defect", "review"):
        assert getattr(row, verdict) == verdicts.count(verdict), verdict
    assert row.total == len(statuses)
    return row


def open_upload(connection: Connection, model_id: str, rule: str, deadline_at: float | None) -> str:
    """A batch that is not sealed, without an item, whose webhook wants to be told of each verdict."""
    batch_id = new_id("bat")
    events = [*BATCH_EVENTS, PART_COMPLETED, ITEMS_COMPLETED]
    connection.execute(
        insert(Batch).values(
            id=batch_id, tenant="t", status="queued", origin="batch", lane=LANE, sealed=False,
            upload_lease_until=time.time() + 3600, model_id=model_id, threshold=0.5, review_low=0.5,
            review_high=0.5, metadata_={}, part_rule=rule, on_error="continue", created_at=time.time(),
            webhook={"url": "http://x/", "secret": "s", "events": events}, retention_s=60.0,
            deadline_at=deadline_at,
        )
    )  # fmt: skip
    return batch_id


def append_items(connection: Connection, batch_id: str, first: int, kinds: str, parts: int = 0) -> None:
    """Add an item for each letter: `g` is stored, `r` is refused, `f` is to be fetched.

    With `parts`, they are in turn the views of so many parts.
    """
    items = [
        ReceivedItem(
            first + place, "f", CONTENTS[(first + place) % 3] if kind == "g" else None, 0, int(kind == "g"),
            error=("too_large", "as told") if kind == "r" else None,
            source="https://images.example/f" if kind == "f" else None,
            tags=Tags(part_id=f"SN-{(first + place) % parts}") if parts else None,
        )
        for place, kind in enumerate(kinds)
    ]  # fmt: skip
    piece = Piece(first, len(items), items)
    uploads.append(connection, batch_id, piece, LANE, at=time.time(), lease_s=LONG_LEASE_S, hold=not first)


def claim_chunks(connection: Connection, micro_batch: int) -> list[Claim]:
    return claims.claim(
        connection, lanes=[LANE], micro_batch=micro_batch, token=secrets.token_hex(8),
        host="h", pid=os.getpid(), lease_s=LONG_LEASE_S, look=True,
    )  # fmt: skip


def result_of(seq: int, kind: int) -> Result:
    if kind == 0:
        return Result(seq, error_code="corrupt_image", error_detail="")
    reasons = (Reason.UNFAMILIAR,) if kind == 3 else ()
    score = (0.9, 0.1, 0.5)[kind - 1]  # the batches of these tests have the threshold 0.5 and no review band
    return Result(seq, verdict=("defect", "no_defect", "review")[kind - 1], score=score, reasons=reasons)


def ended_leases(connection: Connection) -> list[int]:
    """Ids of the chunks whose lease has ended by the database's clock."""
    ended = select(Chunk.id).where(Chunk.status == ChunkStatus.LEASED, Chunk.lease_until < clock())
    return list(connection.scalars(ended))
