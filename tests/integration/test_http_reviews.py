"""Reviews over HTTP: the queue, a person's verdict next to the model's, its history and its event."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from shared.lifecycle import endings
from shared.lifecycle import verdicts as recording
from shared.lifecycle.reviews import MOST_OPINIONS
from shared.lifecycle.verdicts import Result
from shared.store.tables import Delivery, ReviewEntry
from tests.harness.application import Application
from tests.harness.rows import claim_all

WEBHOOK = {"url": "https://receiver.example/x", "events": ["item.reviewed"]}
LINE = iter(range(10_000))


def judged(app: Application, verdicts: list[str], **options: Any) -> dict[str, Any]:
    """A batch whose items have these verdicts, on a production line of its own."""
    line = options.pop("line", f"line {next(LINE)}")
    files = {f"{number}.jpg": b"image %d" % number for number in range(len(verdicts))}
    batch = app.submit(files, {"line": line, "priority": "low", **options})
    while claims := claim_all(app.database, lanes=["low"]):
        for held in claims:
            mine = held.batch_id == batch["id"]  # other tests may have left some
            results = [
                Result(item.seq, verdict=verdicts[item.seq] if mine else "no_defect", score=0.5)
                for item in held.items
            ]
            with app.database.write() as connection:
                recording.record(connection, [(held, results)], model_sha256="f" * 64)
            with app.database.write() as connection:
                endings.complete(connection, held.batch_id)
    return {**batch, "line": line}


def take(app: Application, line: str, **options: Any) -> Any:
    answer = app.call("POST", "/v1/reviews/next", json={"line": line}, **options)
    assert answer.status_code in (200, 204), answer.text
    return answer.get_json() if answer.status_code == 200 else None


def review(app: Application, item_id: str, status: int = 200, **body: Any) -> Any:
    key = body.pop("key", None)
    answer = app.call("POST", f"/v1/items/{item_id}/review", json={"verdict": "defect", **body}, key=key)
    assert answer.status_code == status, answer.text
    return answer.get_json()


def test_an_item_of_the_queue_gets_a_persons_verdict_next_to_the_models(app: Application) -> None:
    batch = judged(app, ["review", "review"])
    task = take(app, batch["line"])
    assert (task["source"], task["round"], task["item"]["review"]) == ("band", 1, None)
    shown = review(app, task["item"]["id"], note="a crack", claim=task["claim"])
    assert shown["verdict"] == "review"
    assert (shown["review"]["verdict"], shown["review"]["by"]) == ("defect", "test")
    assert app.get(f"/v1/items/{shown['id']}") == shown
    listed = {item["id"]: item for item in app.get(f"/v1/batches/{batch['id']}/items")["data"]}
    assert listed[shown["id"]] == shown
    assert {item["id"]: item for item in app.results(batch["id"])}[shown["id"]] == shown
    other = take(app, batch["line"])
    assert other["item"]["id"] != shown["id"]
    assert take(app, batch["line"]) is None
    [entry] = app.get(f"/v1/reviews?status=done&batch_id={batch['id']}")["data"]
    assert (entry["item_id"], entry["verdict"], entry["given"]) == (shown["id"], "defect", 1)
    [entry] = app.get(f"/v1/reviews?batch_id={batch['id']}")["data"]
    assert (entry["item_id"], entry["verdict"]) == (other["item"]["id"], None)
    assert entry["claimed_until"] is not None


@pytest.mark.parametrize("threshold", [0.6, 0.4])
def test_a_rescoring_takes_no_item_from_the_person_who_holds_it(app: Application, threshold: float) -> None:
    batch = judged(app, ["review", "review", "no_defect"])
    mine = take(app, batch["line"])
    asked = {"threshold": threshold, "review_band": [threshold, threshold]}
    assert app.call("POST", f"/v1/batches/{batch['id']}/rescore", json=asked).status_code == 200
    taken = []
    while (task := take(app, batch["line"])) is not None:
        taken.append(task["item"]["id"])
    assert mine["item"]["id"] not in taken
    shown = review(app, mine["item"]["id"], claim=mine["claim"])
    assert shown["review"]["verdict"] == "defect"


def test_the_item_of_another_person_is_refused_until_it_is_skipped(app: Application) -> None:
    batch = judged(app, ["review"])
    task = take(app, batch["line"])
    item = task["item"]["id"]
    assert review(app, item, 409)["code"] == "claimed_by_other"
    refused = app.call("POST", f"/v1/items/{item}/skip", json={})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "claimed_by_other")
    assert app.call("POST", f"/v1/items/{item}/skip", json={"claim": task["claim"]}).status_code == 204
    again = take(app, batch["line"])
    assert again["item"]["id"] == item
    with app.database.write() as connection:  # the lease has ended
        connection.execute(update(ReviewEntry).values(lease_until=1.0))
    assert take(app, batch["line"])["claim"] != again["claim"]
    assert review(app, item, 409, claim=again["claim"])["code"] == "claimed_by_other"


def test_skipped_items_come_back_after_those_of_older_batches(app: Application) -> None:
    old = judged(app, ["review"])
    judged(app, ["review", "review"], line=old["line"])
    seen = []
    for _ in range(3):
        task = take(app, old["line"])
        seen.append(task["item"]["id"])
        skipped = app.call("POST", f"/v1/items/{seen[-1]}/skip", json={"claim": task["claim"]})
        assert skipped.status_code == 204
    assert len(set(seen)) == 3
    assert take(app, old["line"])["item"]["id"] == seen[0]


def test_a_verdict_is_corrected_without_the_claim_that_has_ended(app: Application) -> None:
    task = take(app, judged(app, ["review"])["line"])
    item, claim = task["item"]["id"], task["claim"]
    review(app, item, claim=claim)
    late = review(app, item, 409, claim=claim, verdict="no_defect")
    assert (late["code"], "without a claim" in late["detail"]) == ("claimed_by_other", True)
    corrected = review(app, item, verdict="no_defect")
    assert (corrected["review"]["verdict"], len(corrected["review"]["rounds"])) == ("no_defect", 2)


def test_an_item_takes_a_bounded_number_of_opinions(app: Application) -> None:
    task = take(app, judged(app, ["review"])["line"])
    item = task["item"]["id"]
    review(app, item, verdict="no_defect", claim=task["claim"])
    for number in range(MOST_OPINIONS - 1):
        review(app, item, verdict=["defect", "no_defect"][number % 2])
    assert review(app, item, 409, verdict="no_defect")["code"] == "wrong_state"
    assert len(app.get(f"/v1/items/{item}")["review"]["rounds"]) == MOST_OPINIONS


def test_an_undone_review_is_gone_and_stays_in_the_history(app: Application) -> None:
    batch = judged(app, ["review"])
    item = take(app, batch["line"])["item"]["id"]
    with app.database.write() as connection:
        connection.execute(update(ReviewEntry).values(lease_until=1.0))
    review(app, item)
    undone = app.call("DELETE", f"/v1/items/{item}/review")
    assert undone.get_json()["review"] is None
    assert app.call("DELETE", f"/v1/items/{item}/review").status_code == 200
    shown = review(app, item, verdict="no_defect")
    assert [each["verdict"] for each in shown["review"]["rounds"]] == ["defect", "no_defect"]
    assert shown["review"]["rounds"][0]["undone_at"] is not None
    actions = [
        (entry["action"], entry["detail"].get("verdict"))
        for entry in app.get(f"/v1/audit?object_id={item}")["data"]
        if entry["action"] != "review.claim"
    ]
    assert actions == [("review.give", "no_defect"), ("review.take_back", None), ("review.give", "defect")]


def test_each_final_review_is_told_once(app: Application) -> None:
    batch = judged(app, ["no_defect"], webhook=WEBHOOK)
    [item] = app.get(f"/v1/batches/{batch['id']}/items")["data"]
    shown = review(app, item["id"])
    review(app, item["id"])  # again, since the answer was lost
    app.call("DELETE", f"/v1/items/{item['id']}/review")
    with app.database.read() as connection:
        rows = connection.execute(
            select(Delivery.event, Delivery.body)
            .where(Delivery.batch_id == batch["id"])
            .order_by(Delivery.id)
        ).all()
    bodies = [json.loads(row.body)["data"] for row in rows]
    assert [row.event for row in rows] == ["item.reviewed"] * 2
    assert bodies[0] == shown
    assert bodies[1]["review"] is None


def test_a_review_takes_its_scope_and_stays_in_its_tenant(app: Application) -> None:
    batch = judged(app, ["review"])
    [item] = app.get(f"/v1/batches/{batch['id']}/items")["data"]
    reader, rival = app.make_key("default", "read"), app.make_key("rival", "review", "read")
    assert review(app, item["id"], 403, key=reader)["code"] == "forbidden"
    assert review(app, item["id"], 404, key=rival)["code"] == "not_found"
    assert take(app, batch["line"], key=rival) is None
    assert app.get("/v1/reviews", key=rival)["data"] == []
    assert app.call("DELETE", f"/v1/items/{item['id']}/review", key=rival).status_code == 404
    assert app.call("POST", f"/v1/items/{item['id']}/skip", json={}, key=rival).status_code == 404
    assert review(app, item["id"], key=app.make_key("default", "review"))["review"]["verdict"] == "defect"


@pytest.fixture
def twice(app: Application) -> Iterator[None]:
    """Each item needs two persons."""
    with app.under(review_second_share=1.0):
        yield


@pytest.mark.usefixtures("twice")
def test_the_first_of_two_opinions_shows_nowhere_before_the_second(app: Application) -> None:
    batch = judged(app, ["review"])
    task = take(app, batch["line"])
    item = task["item"]["id"]
    assert review(app, item, claim=task["claim"])["review"] is None
    assert take(app, batch["line"]) is None, "the same key gives no second opinion"
    assert review(app, item, 409, verdict="no_defect")["code"] == "wrong_state"
    second = app.make_key("default", "review", "read")
    task = take(app, batch["line"], key=second)
    assert (task["round"], task["item"]["review"]) == (2, None)
    for path in (f"/v1/items/{item}", f"/v1/reviews?batch_id={batch['id']}"):
        assert "crack" not in json.dumps(app.get(path, key=second))
    [entry] = app.get(f"/v1/reviews?batch_id={batch['id']}", key=second)["data"]
    assert (entry["verdict"], entry["given"], entry["rounds"]) == (None, 1, 2)
    shown = review(app, item, key=second, claim=task["claim"])
    assert [each["verdict"] for each in shown["review"]["rounds"]] == ["defect", "defect"]


def test_the_list_of_reviews_pages_through_the_queue(app: Application) -> None:
    batch = judged(app, ["review"] * 5)
    tasks = [take(app, batch["line"]) for _ in range(5)]
    for query in ("waiting", "done"):
        seen, cursor = [], ""
        while True:
            page = app.get(f"/v1/reviews?status={query}&batch_id={batch['id']}&limit=2{cursor}")
            seen += [entry["item_id"] for entry in page["data"]]
            if not page["has_more"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert sorted(seen) == sorted(task["item"]["id"] for task in tasks)
        for task in tasks:
            review(app, task["item"]["id"], claim=task["claim"])
