"""Row 51: the web and the workers are killed while persons review; no opinion is lost, and none is noted twice."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from shared.client import ApiError
from shared.contract.events import ITEM_REVIEWED
from shared.store.tables import Delivery, Opinion, ReviewEntry
from tests.faults.rig import WEBHOOK, Rig
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(240)
_ITEMS, _DEATHS, _PERSONS = 30, 2, 3
_POINTS = "web.resources.reviews:_tell,web.resources.reviews:_send"
_IN_REVIEW: dict[str, Any] = {"operating_point": {"threshold": 0.5, "review_band": [0.0, 1.0]}}


@pytest.mark.row(51)
def test_no_opinion_is_lost_or_doubled_while_web_and_workers_die(ill: Rig, many: Many) -> None:
    # A claim whose answer was lost returns to the queue when its lease ends.
    short = {"GONOGO_REVIEW_LEASE_S": "2", "FAULTS_POINTS": _POINTS}
    points = f"_tell=kill*{_DEATHS};_send=kill*{_DEATHS}"
    ill.restart("web", points, env=short)
    webhook = {**WEBHOOK, "events": ["batch.completed", ITEM_REVIEWED]}
    batch_id = ill.submit(many(_ITEMS), webhook=webhook, **_IN_REVIEW)
    said: list[tuple[str, str]] = []
    done = threading.Event()

    def person(number: int) -> None:
        verdict = "defect" if number % 2 else "no_defect"
        with ill.stack.client(patience_s=60.0) as client:
            while not done.is_set():
                task = client.next_review(batch_id=batch_id)
                if task is None:
                    done.wait(0.2)
                    continue
                # The claim may have ended while the web was away, and another person has the item.
                with contextlib.suppress(ApiError):
                    item = client.review_item(task["item"]["id"], verdict, claim=task["claim"])
                    said.append((item["id"], verdict))

    persons = [threading.Thread(target=person, args=(number,)) for number in range(_PERSONS)]
    for each in persons:
        each.start()

    def reviewed() -> bool:
        if ill.stack.processes["web"].poll() is not None:
            # It may die again before it has answered this test: the persons ask all the time.
            ill.stack.start("web", **ill.fault_env(points, **short))
        if len(said) == _ITEMS // 3:
            ill.restart("bulk", wait=False)
        return len({item for item, _ in said}) >= _ITEMS

    until(reviewed, 150, "each item is reviewed")
    done.set()
    for each in persons:
        each.join(60)
    deaths = ill.fired("_tell"), ill.fired("_send")
    assert deaths == (_DEATHS, _DEATHS)
    ill.restart("web")
    ill.finish(batch_id)
    with ill.database.read() as connection:
        noted = connection.execute(
            select(Opinion.seq, Opinion.verdict).where(Opinion.batch_id == batch_id)
        ).all()
        entries = connection.execute(
            select(ReviewEntry.seq, ReviewEntry.verdict).where(ReviewEntry.batch_id == batch_id)
        ).all()
        told = Counter(
            connection.scalars(
                select(Delivery.subject).where(
                    Delivery.batch_id == batch_id, Delivery.event == ITEM_REVIEWED, Delivery.endpoint_id == ""
                )
            )
        )
    assert sorted(seq for seq, _ in noted) == list(range(_ITEMS)), "one opinion for each item"
    assert sorted(entries) == sorted(noted)
    heard = {(item["id"], item["review"]["verdict"]) for item in ill.stack.items(batch_id)}
    assert {*said} <= heard, "each answer that a person got is noted"
    assert len(told) == _ITEMS and {*told.values()} == {1}
    ill.proof(f"the web died {deaths[0]} times before the commit and {deaths[1]} times after it")
    ill.check()
