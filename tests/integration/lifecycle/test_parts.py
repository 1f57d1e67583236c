"""A part ends once: by the last of its views, whichever process records it, and however it ends."""

import threading
from typing import Any

import pytest
from sqlalchemy import func, select, update

from shared.lifecycle import closing, culprits, leases, parts, verdicts
from shared.lifecycle.recount import recount, suspects
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database
from shared.store.tables import Batch, Chunk, Delivery, Item, Part
from tests.harness.part_faults import part_faults
from tests.harness.rows import claim_all, make_batch, must_claim, record, run

WEBHOOK = {"url": "http://x/", "secret": "s", "events": ["part.completed"]}


def batch_of_parts(database: Database, model_id: str, per_chunk: int = 1, **changed: Any) -> str:
    """Four items, two parts: the views of a part lie in different chunks."""
    batch_id = make_batch(database, model_id, items=4, per_chunk=per_chunk, webhook=WEBHOOK, **changed)
    with database.write() as connection:
        for seq in range(4):
            connection.execute(
                update(Item)
                .where(Item.batch_id == batch_id, Item.seq == seq)
                .values(part_id=f"SN-{seq % 2}", view=f"view-{seq // 2}")
            )
        connection.execute(update(Batch).where(Batch.id == batch_id).values(version=Batch.version + 1))
        parts.make(connection, batch_id)
    return batch_id


def part_verdicts(database: Database, batch_id: str) -> list[str | None]:
    with database.read() as connection:
        assert part_faults(connection) == []
        return list(
            connection.scalars(select(Part.verdict).where(Part.batch_id == batch_id).order_by(Part.part_id))
        )


def test_two_workers_that_record_the_last_views_at_once_end_the_part_once(
    database: Database, model_id: str
) -> None:
    batch_id = batch_of_parts(database, model_id)
    held = [claim for _ in range(4) for claim in claim_all(database, token=f"t-{_}")]
    record(database, held[1])  # the other part, in part
    done = threading.Event()

    def second() -> None:
        record(database, held[2], verdict="no_defect")
        done.set()

    thread = threading.Thread(target=second)
    with database.write() as connection:
        results = [Result(item.seq, "defect", 0.9) for item in held[0].items]
        verdicts.record(connection, [(held[0], results)], model_sha256="f" * 64)
        thread.start()
        assert not done.wait(0.5), "the second waits for the first, so that one of them sees both views"
    thread.join(60)
    assert part_verdicts(database, batch_id) == ["defect", None]
    record(database, held[3])
    assert part_verdicts(database, batch_id) == ["defect", "defect"]
    with database.read() as connection:
        events = select(func.count()).where(Delivery.batch_id == batch_id, Delivery.event == "part.completed")
        assert connection.scalar(events) == 2


@pytest.mark.parametrize("how", ["cancel", "expire"])
def test_views_that_close_without_a_verdict_end_their_parts(
    database: Database, model_id: str, how: str
) -> None:
    batch_id = batch_of_parts(database, model_id, deadline_at=1.0)
    record(database, must_claim(database), verdict="no_defect")
    change = closing.cancel if how == "cancel" else closing.expire
    assert run(database, change, batch_id)
    assert part_verdicts(database, batch_id) == ["review", "review"]


def test_a_poison_image_and_a_culprit_end_their_parts(database: Database, model_id: str) -> None:
    batch_id = batch_of_parts(database, model_id)
    for verdict in ("defect", "no_defect"):
        record(database, must_claim(database), verdict=verdict)
    poison, culprit = must_claim(database, token="a"), must_claim(database, token="b")
    with database.write() as connection:
        connection.execute(
            update(Chunk).where(Chunk.id == poison.chunk_id).values(lease_until=1.0, attempts=9)
        )
        assert leases.return_expired(connection, poison.chunk_id, 1) == batch_id
    assert part_verdicts(database, batch_id) == ["defect", None]
    run(database, culprits.fail_alone, culprit, culprit.items[0].seq, "timeout", "as told")
    assert part_verdicts(database, batch_id) == ["defect", "review"]


def test_counters_of_parts_that_differ_are_found_and_set_right(database: Database, model_id: str) -> None:
    batch_id = batch_of_parts(database, model_id, per_chunk=4)
    record(database, must_claim(database))
    with database.write() as connection:
        assert (suspects(connection), recount(connection, batch_id)) == ([], {})
        connection.execute(update(Batch).where(Batch.id == batch_id).values(parts=5, defect_parts=0))
    with database.write() as connection:
        assert suspects(connection) == [batch_id]
        assert recount(connection, batch_id, mend=True) == {"parts": (5, 2), "defect_parts": (0, 2)}
        assert recount(connection, batch_id) == {}
    assert part_verdicts(database, batch_id) == ["defect", "defect"]


@pytest.mark.parametrize(
    ("views", "any_defect", "all_defect"),
    [
        ((2, 1, 1, 0), "defect", "no_defect"),
        ((2, 0, 2, 0), "no_defect", "no_defect"),
        ((2, 2, 0, 0), "defect", "defect"),
        ((2, 1, 0, 1), "defect", "review"),
        ((2, 0, 1, 1), "review", "no_defect"),
        ((2, 1, 0, 0), "defect", "review"),
        ((2, 0, 1, 0), "review", "no_defect"),
        ((1, 0, 0, 0), "review", "review"),
    ],
)
def test_the_rule_decides_as_far_as_the_views_allow(
    views: tuple[int, int, int, int], any_defect: str, all_defect: str
) -> None:
    seen = parts.Views(*views)
    assert (seen.verdict("any_defect"), seen.verdict("all_defect")) == (any_defect, all_defect)
    assert parts.Views(*views, missing=("top",)).verdict("any_defect") == "review"
