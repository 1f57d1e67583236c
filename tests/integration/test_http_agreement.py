"""Agreement of the model with persons, and the rates that the audit's sample tells."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from shared.contract.reviews import PASSED
from shared.lifecycle import sampling
from shared.store.tables import Item, ReviewEntry
from tests.harness.application import Application
from tests.integration.test_http_reviews import judged, review, take


def group(app: Application, line: str, **options: Any) -> Any:
    found = app.get("/v1/stats/agreement?by=line,model&window=86400", **options)["groups"]
    return next(each for each in found if each["line"] == line)


@pytest.fixture
def wide(app: Application) -> Iterator[None]:
    """The audit takes half of the passed items, and all of the refused ones."""
    with app.under(review_passed_share=0.5, review_refused_share=1.0):
        yield


@pytest.mark.usefixtures("wide")
def test_reviews_of_the_queue_tell_agreement_and_rates(app: Application) -> None:
    batch = judged(app, ["no_defect"] * 60 + ["defect"] * 8 + ["review"] * 4)
    line = batch["line"]
    before = group(app, line)
    assert before["items"] == {"defect": 8, "no_defect": 60, "review": 4}
    assert before["escape_rate"] == {"value": None, "low": 0.0, "high": 1.0, "confidence": 0.95}
    seen = []
    while (task := take(app, line)) is not None:
        seen.append(task)
        good = task["source"] == PASSED or task["item"]["filename"] == "60.jpg"
        review(app, task["item"]["id"], claim=task["claim"], verdict="no_defect" if good else "defect")
    passed = [seq for seq in range(60) if sampling.is_sampled(batch["id"], seq, 0.5)]
    assert len(seen) == 12 + len(passed)
    shown = group(app, line)
    assert shown["reviewed"] == {
        "no_defect": {"defect": 0, "no_defect": len(passed)},
        "defect": {"defect": 7, "no_defect": 1},
        "review": {"defect": 4, "no_defect": 0},
    }
    assert shown["agreed"] == pytest.approx((len(passed) + 7) / (len(passed) + 8))
    assert (shown["escape_rate"]["value"], shown["escape_rate"]["low"]) == (0.0, 0.0)
    assert 0.0 < shown["escape_rate"]["high"] < 0.7
    assert shown["false_reject_rate"]["value"] == pytest.approx(1 / 61)
    assert shown["model"]["id"] == batch["model"]["id"]

    # An item that a person chose is no part of the sample.
    items = app.get(f"/v1/batches/{batch['id']}/items?limit=1000")["data"]
    chosen = next(item for seq, item in enumerate(items[:60]) if seq not in passed)
    review(app, chosen["id"])
    assert group(app, line)["reviewed"] == shown["reviewed"]
    assert group(app, line)["escape_rate"] == shown["escape_rate"]

    # After a rescoring, an item of the band that passes now counts if the sample holds it.
    with app.database.write() as connection:
        in_batch = (Item.batch_id == batch["id"], Item.seq >= 68)
        connection.execute(update(Item).where(*in_batch).values(verdict="no_defect"))
    moved = [seq for seq in range(68, 72) if sampling.is_sampled(batch["id"], seq, 0.5)]
    again = group(app, line)["reviewed"]
    assert again["review"] == {"defect": 0, "no_defect": 0}
    assert again["no_defect"] == {"defect": len(moved), "no_defect": len(passed)}


def test_second_opinions_are_compared_and_a_window_and_a_tenant_bound_the_figures(app: Application) -> None:
    batch = judged(app, ["review"] * 4)
    second = app.make_key("default", "review", "read")
    tasks = [take(app, batch["line"]) for _ in range(4)]
    with app.database.write() as connection:
        connection.execute(update(ReviewEntry).where(ReviewEntry.batch_id == batch["id"]).values(rounds=2))
    said = [
        ("defect", "defect"),
        ("no_defect", "no_defect"),
        ("defect", "no_defect"),
        ("no_defect", "no_defect"),
    ]
    for task, (first, other) in zip(tasks, said, strict=True):
        review(app, task["item"]["id"], claim=task["claim"], verdict=first)
        review(app, task["item"]["id"], key=second, verdict=other)
    third = app.make_key("default", "review", "read")
    review(app, tasks[2]["item"]["id"], key=third)
    shown = group(app, batch["line"])["second_opinions"]
    assert (shown["items"], shown["agreed"]) == (4, 3)
    assert shown["kappa"] == pytest.approx((0.75 - 0.5) / 0.5)
    assert app.get("/v1/stats/agreement", key=app.make_key("rival", "read"))["groups"] == []
    days = app.get("/v1/stats/agreement?by=day")["groups"]
    assert all(len(each["day"]) == 10 and each["line"] is None for each in days)
    whole = app.get("/v1/stats/agreement")["groups"]
    assert len(whole) == 1
    assert whole[0]["items"]["review"] == sum(each["items"]["review"] for each in days)
