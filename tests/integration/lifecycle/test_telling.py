"""Verdicts, progress and a high share of defects are told from rows: in full messages, once, to those who listen."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from shared.clock import now
from shared.contract.batches import batch_payload
from shared.contract.events import (
    DEFECT_DETECTED,
    DEFECT_RATE_EXCEEDED,
    ITEMS_COMPLETED,
    PROGRESS,
    REVIEW_REQUIRED,
    DefectRateAlert,
)
from shared.contract.items import item_payload
from shared.ids import item_id, new_id
from shared.lifecycle import closing, endings, events, purging, steering, telling, told_items
from shared.store.engine import Database
from shared.store.records import BatchRecord, ItemRecord
from shared.store.tables import Batch, Chunk, Delivery, Item, Telling, WebhookEndpoint
from shared.webhooks.owed import model_of
from tests.harness import fetch_rows
from tests.harness.rows import (
    append_items,
    claim_all,
    make_batch,
    must_claim,
    open_upload,
    record,
    run,
)

BASE = "https://parts.plant.example"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict waits for others until its batch has ended."""
    monkeypatch.setattr(told_items, "PATIENCE_S", 3600.0)


def listen(database: Database, *names: str, **filters: Any) -> str:
    endpoint_id = new_id("whe")
    with database.write() as connection:
        connection.execute(
            insert(WebhookEndpoint).values(
                id=endpoint_id, tenant="t", url=f"http://{endpoint_id}/", events=f" {' '.join(names)} ",
                filters=filters, format="standard", secret="s", enabled=True, failures=0, created_at=now(),
            )
        )  # fmt: skip
    return endpoint_id


def batch_of(database: Database, model_id: str, alert: DefectRateAlert | None = None, **made: Any) -> str:
    batch_id = make_batch(database, model_id, **made)
    run(database, telling.begin, row_of(database, batch_id), alert)
    return batch_id


def row_of(database: Database, batch_id: str) -> BatchRecord:
    with database.read() as connection:
        return BatchRecord._make(
            connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
        )


def judge(database: Database, batch_id: str, *verdicts: str | None) -> None:
    """Record the verdicts of one chunk after the other, and end the batch where no item is left; None: it failed."""
    for verdict in verdicts:
        failed = {"error_code": "corrupt_image", "score": None} if verdict is None else {}
        record(database, must_claim(database), verdict=verdict, **failed)
    run(database, endings.complete, batch_id)


def tell(database: Database) -> int:
    """Tell as a process does, until there is nothing more; returns how many deliveries are owed."""
    number = 0
    with database.read() as connection:
        batch_ids = telling.open_tellings(connection)
    for batch_id in batch_ids:
        more = True
        while more:
            told = run(database, telling.tell, batch_id, BASE)
            number, more = number + len(told.deliveries), told.more
    return number


def messages(database: Database, name: str, endpoint_id: str | None = None) -> list[Any]:
    query = select(Delivery.body, Delivery.endpoint_id).where(Delivery.event == name).order_by(Delivery.id)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [json.loads(body)["data"] for body, to in rows if endpoint_id in (None, to)]


def seqs(message: Any) -> list[int]:
    return [int(item["filename"].removesuffix(".jpg")) for item in message["data"]]


def items(database: Database, batch_id: str) -> Iterator[ItemRecord]:
    with database.read() as connection:
        rows = connection.execute(
            select(Item.__table__).where(Item.batch_id == batch_id).order_by(Item.seq)
        ).all()
    return map(ItemRecord._make, rows)


def test_verdicts_are_told_in_full_messages_and_the_rest_with_the_end(
    database: Database, model_id: str
) -> None:
    listen(database, ITEMS_COMPLETED)
    batch_id = batch_of(database, model_id, items=250, per_chunk=30)
    judge(database, batch_id, "no_defect", "defect", "no_defect")
    assert tell(database) == 0
    judge(database, batch_id, "no_defect")
    assert tell(database) == 1
    assert tell(database) == 0
    judge(database, batch_id, *["no_defect"] * 5)
    assert tell(database) == 2
    told = messages(database, ITEMS_COMPLETED)
    assert [len(message["data"]) for message in told] == [100, 100, 50]
    assert [seq for message in told for seq in seqs(message)] == list(range(250))
    assert told[0] == {
        "object": "list",
        "data": [item_payload(item, {}) for item in list(items(database, batch_id))[:100]],
        "has_more": False,
        "next_cursor": None,
    }
    assert run(database, telling.open_tellings) == []


def test_a_verdict_that_has_waited_is_told_alone(
    database: Database, model_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(database, ITEMS_COMPLETED)
    batch_id = batch_of(database, model_id, items=4, per_chunk=2)
    judge(database, batch_id, "defect")
    assert tell(database) == 0
    monkeypatch.setattr(told_items, "PATIENCE_S", 0.0)
    assert tell(database) == 1
    assert list(map(seqs, messages(database, ITEMS_COMPLETED))) == [[0, 1]]


def test_a_process_that_is_behind_sends_full_messages(
    database: Database, model_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_items, "PATIENCE_S", 0.0)
    listen(database, ITEMS_COMPLETED)
    batch_id = batch_of(database, model_id, items=350, per_chunk=7)
    judge(database, batch_id, *["no_defect"] * 50)
    assert tell(database) == 4
    assert [len(message["data"]) for message in messages(database, ITEMS_COMPLETED)] == [100, 100, 100, 50]


def test_a_receiver_gets_the_items_that_its_filters_ask_for(database: Database, model_id: str) -> None:
    every = listen(database, ITEMS_COMPLETED, DEFECT_DETECTED, REVIEW_REQUIRED)
    defects = listen(database, ITEMS_COMPLETED, verdict=["defect"])
    here = listen(database, DEFECT_DETECTED, REVIEW_REQUIRED, line=["A3"])
    there = listen(database, ITEMS_COMPLETED, DEFECT_DETECTED, line=["B1"])
    batch_id = batch_of(database, model_id, items=8, per_chunk=2, line="A3")
    judge(database, batch_id, "defect", "review", "no_defect", None)
    tell(database)
    assert list(map(seqs, messages(database, ITEMS_COMPLETED, every))) == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert list(map(seqs, messages(database, ITEMS_COMPLETED, defects))) == [[0, 1]]
    of_items = {item.seq: item_payload(item, {}) for item in items(database, batch_id)}
    assert messages(database, DEFECT_DETECTED, here) == [of_items[0], of_items[1]]
    assert messages(database, REVIEW_REQUIRED, here) == [of_items[2], of_items[3]]
    assert messages(database, ITEMS_COMPLETED, there) == messages(database, DEFECT_DETECTED, there) == []


def test_a_batch_that_nobody_listens_to_costs_the_process_nothing(database: Database, model_id: str) -> None:
    listen(database, "batch.completed")
    batch_id = batch_of(database, model_id)
    listen(database, ITEMS_COMPLETED)  # too late
    judge(database, batch_id, "defect")
    assert run(database, telling.open_tellings) == []


def test_a_failure_that_is_judged_again_before_it_was_told_is_told_by_its_last_verdict(
    database: Database, model_id: str
) -> None:
    listen(database, ITEMS_COMPLETED)
    batch_id = batch_of(database, model_id, items=4, per_chunk=2)
    judge(database, batch_id, "defect", None)
    assert run(database, steering.retry, batch_id)
    assert tell(database) == 0
    judge(database, batch_id, "no_defect")
    assert tell(database) == 1
    [message] = messages(database, ITEMS_COMPLETED)
    assert [(item["filename"], item["verdict"]) for item in message["data"]] == [
        ("0.jpg", "defect"), ("1.jpg", "defect"), ("2.jpg", "no_defect"), ("3.jpg", "no_defect"),
    ]  # fmt: skip


def test_a_failure_that_was_told_is_told_again_when_it_was_judged_again(
    database: Database, model_id: str
) -> None:
    listen(database, ITEMS_COMPLETED)
    batch_id = batch_of(database, model_id, items=4, per_chunk=2)
    judge(database, batch_id, "defect", None)
    assert tell(database) == 1
    assert run(database, steering.retry, batch_id)
    judge(database, batch_id, "no_defect")
    assert tell(database) == 1
    assert list(map(seqs, messages(database, ITEMS_COMPLETED))) == [[0, 1, 2, 3], [2, 3]]


def test_items_that_were_cancelled_are_not_told(database: Database, model_id: str) -> None:
    listen(database, ITEMS_COMPLETED)
    batch_id = batch_of(database, model_id, items=6, per_chunk=2)
    judge(database, batch_id, "defect")
    run(database, closing.cancel, batch_id)
    run(database, endings.complete, batch_id)
    tell(database)
    assert list(map(seqs, messages(database, ITEMS_COMPLETED))) == [[0, 1]]
    assert run(database, telling.open_tellings) == []
    assert run(database, purging.purge_rows, batch_id)


def test_progress_is_told_now_and_then_with_the_batch_as_it_stands(
    database: Database, model_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(database, PROGRESS)
    batch_id = batch_of(database, model_id, items=8, per_chunk=2)
    assert tell(database) == 0, "nothing has changed"
    judge(database, batch_id, "defect")
    assert tell(database) == 1
    judge(database, batch_id, "no_defect")
    assert tell(database) == 0, "too soon"
    monkeypatch.setattr(telling, "PROGRESS_EVERY_S", 0.0)
    assert tell(database) == 1
    assert tell(database) == 0, "nothing has changed"
    shown = messages(database, PROGRESS)
    assert [message["counts"]["succeeded"] for message in shown] == [2, 4]
    row = row_of(database, batch_id)
    with database.read() as connection:
        now_shown = batch_payload(row, model=model_of(connection, row), base=BASE)
    assert {**shown[1], "eta": None} == {**now_shown, "eta": None}
    judge(database, batch_id, "no_defect", "no_defect")
    assert tell(database) == 0, "the event of its end tells"


def test_a_high_share_of_defects_is_told_once_and_is_an_event_of_the_stream(
    database: Database, model_id: str
) -> None:
    listen(database, DEFECT_RATE_EXCEEDED)
    batch_id = batch_of(database, model_id, {"share": 0.5, "after": 4}, items=10, per_chunk=2)
    judge(database, batch_id, "defect")
    assert tell(database) == 0, "too few verdicts"
    judge(database, batch_id, "no_defect")
    assert tell(database) == 0, "half is not more than half"
    judge(database, batch_id, "defect")
    assert tell(database) == 1
    judge(database, batch_id, "defect", None)
    assert tell(database) == 0
    run(database, steering.retry, batch_id)
    judge(database, batch_id, "defect")
    assert tell(database) == 0
    [message] = messages(database, DEFECT_RATE_EXCEEDED)
    assert message["verdicts"] == {"defect": 4, "no_defect": 2, "review": 0}
    with database.read() as connection:
        kinds = [event.type for event in events.later(connection, batch_id, 0, 100)]
    assert kinds.count(DEFECT_RATE_EXCEEDED) == 1
    assert kinds.index(DEFECT_RATE_EXCEEDED) < kinds.index("batch.completed")


def test_a_batch_tells_its_own_webhook_what_that_names(database: Database, model_id: str) -> None:
    webhook = {"url": "http://own/", "secret": "s", "events": [DEFECT_DETECTED]}
    batch_id = batch_of(database, model_id, items=2, per_chunk=2, webhook=webhook)
    judge(database, batch_id, "defect")
    assert tell(database) == 2
    assert messages(database, ITEMS_COMPLETED) == []


def test_of_two_processes_one_tells(database: Database, model_id: str) -> None:
    listen(database, ITEMS_COMPLETED)
    batch_id = batch_of(database, model_id)
    judge(database, batch_id, "defect")
    has_told, may_commit = threading.Event(), threading.Event()

    def first() -> int:
        with database.write() as connection:
            told = telling.tell(connection, batch_id)
            has_told.set()
            assert may_commit.wait(20)
        return len(told.deliveries)

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert has_told.wait(20)
        other = pool.submit(run, database, telling.tell, batch_id)
        if not database.is_sqlite:  # there, the other waits for its turn to write
            assert other.result(20).deliveries == ()
        may_commit.set()
        assert one.result(20) == 1
        assert other.result(20).deliveries == ()
    with database.read() as connection:
        assert connection.scalar(select(Telling.done)) is True
        assert list(connection.scalars(select(Chunk.told))) == [4]


def test_what_was_told_is_told_by_the_chunk_and_not_by_the_clock(database: Database, model_id: str) -> None:
    """A clock that jumps back, or forth, neither doubles nor loses a verdict."""
    listen(database, ITEMS_COMPLETED)
    batch_id = batch_of(database, model_id, items=4, per_chunk=2)
    judge(database, batch_id, "defect", "defect")
    with database.write() as connection:
        connection.execute(update(Item).where(Item.seq < 2).values(finished_at=1.0))
        connection.execute(update(Item).where(Item.seq >= 2).values(finished_at=now() + 1e6))
    assert (tell(database), tell(database)) == (1, 0)
    assert list(map(seqs, messages(database, ITEMS_COMPLETED))) == [[0, 1, 2, 3]]


def test_refused_images_and_failed_fetches_are_told_once_in_full_messages(
    database: Database, model_id: str
) -> None:
    """In the middle of a chunk, at its edges, between images to be fetched, and in a pack without any other."""
    kinds = ("rgrgr" * 20, "frfrrf" * 20, "r" * 30, "g" * 60)
    with database.write() as connection:
        batch_id = open_upload(connection, model_id, "any_defect", None)
        for number, piece in enumerate(kinds):
            append_items(connection, batch_id, sum(map(len, kinds[:number])), piece)
        connection.execute(update(Chunk).where(Chunk.status == "held").values(status="queued"))
        connection.execute(update(Batch).values(sealed=True))
        telling.begin(connection, BatchRecord._make(connection.execute(select(Batch.__table__)).one()))
    with database.write() as connection:
        for number, fetch in enumerate(fetch_rows.claim(connection)):
            assert fetch_rows.end(connection, fetch, "stored" if number % 2 else "failed")
    while claim := claim_all(database):
        record(database, claim[0])
    run(database, endings.complete, batch_id)
    total = sum(map(len, kinds))
    assert tell(database) <= -(-total // 100)
    told = [item["id"] for message in messages(database, ITEMS_COMPLETED) for item in message["data"]]
    assert sorted(told) == sorted(item_id(batch_id, seq) for seq in range(total))
    assert run(database, steering.retry, batch_id) is not None
    with database.write() as connection:
        again = [fetch_rows.end(connection, fetch, "failed") for fetch in fetch_rows.claim(connection)]
    assert len(again) == 30
    run(database, endings.complete, batch_id)
    assert tell(database) == 1, "those that failed a second time, alone"
    assert len(messages(database, ITEMS_COMPLETED)[-1]["data"]) == len(again)
