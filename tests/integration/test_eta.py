"""The ETA of a batch comes true: at a steady speed, behind another batch, over a pause, a retry and a stall."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contract.fields import parse_moment
from shared.lifecycle import claims, endings, pace
from shared.lifecycle.verdicts import Result, record
from tests.harness.application import Application, application
from tests.harness.databases import migrated_database_url

ITEM_S = 0.006


def judge(app: Application, *, fails: bool = False) -> int:
    """Judge the next chunk as a worker does that takes ITEM_S for an image; returns how many images it had."""
    with app.database.write() as connection:
        held = claims.claim(
            connection, lanes=["normal"], micro_batch=1, token="t", host="h", pid=1, lease_s=30
        )
    images = sum(len(one.items) for one in held)
    time.sleep(ITEM_S * images)
    result = (None, None, "timeout") if fails else ("defect", 0.9)
    done = [(one, [Result(item.seq, *result) for item in one.items]) for one in held]
    with app.database.write() as connection:
        record(connection, done, model_sha256="f" * 64)
    for batch_id in {one.batch_id for one in held}:
        with app.database.write() as connection:
            endings.complete(connection, batch_id)
    return images


def submit(app: Application, images: int) -> str:
    return str(app.submit({f"{number}.jpg": b"x" for number in range(images)})["id"])


def shown(app: Application, batch_id: str) -> Any:
    return app.get(f"/v1/batches/{batch_id}")


def foretold(app: Application, batch_id: str, **judged: Any) -> list[tuple[float, float]]:
    """Work until the batch has ended; returns the time left at each poll: as the ETA foretold it, and as it was."""
    polls = []
    while (batch := shown(app, batch_id))["finished_at"] is None:
        if batch["eta"]:
            assert batch["no_eta"] is None
            polls.append((parse_moment(batch["eta"]["finish_at"]), time.time()))
        else:
            assert batch["no_eta"] in ("waiting", "no_verdict")
        judge(app, **judged)
    ended = parse_moment(batch["finished_at"])
    return [(finish - at, ended - at) for finish, at in polls]


def check(polls: list[tuple[float, float]]) -> None:
    """From its second third on, the ETA is right within a quarter of the time left, and 0.3 s."""
    assert len(polls) > 5
    wrong = [(told, real) for told, real in polls[len(polls) // 3 :] if abs(told - real) > 0.25 * real + 0.3]
    assert len(wrong) <= len(polls) // 5, polls


@pytest.fixture(scope="module", params=[pytest.param("sqlite", marks=pytest.mark.slow), "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    """With chunks so small that a batch of some hundred images has many."""
    folder = tmp_path_factory.mktemp("installation")
    with (
        migrated_database_url(request.param, folder) as url,
        application(folder, artifact, broker_url, url, chunk_items=8) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def nothing_open(app: Application) -> None:
    while judge(app):
        pass


@pytest.mark.pace
def test_the_eta_comes_true_at_a_steady_speed_and_over_a_retry(app: Application) -> None:
    batch_id = submit(app, 300)
    assert (shown(app, batch_id)["eta"], shown(app, batch_id)["no_eta"]) == (None, "waiting")
    check(foretold(app, batch_id, fails=True))
    time.sleep(1.5)  # in which no worker works
    retried = app.call("POST", f"/v1/batches/{batch_id}/retry").get_json()
    assert (retried["eta"], retried["no_eta"]) == (None, "waiting")
    check(foretold(app, batch_id))
    assert shown(app, batch_id)["eta"]["basis"] == "whole_run"


@pytest.mark.slow
@pytest.mark.pace
def test_the_eta_comes_true_behind_another_batch_and_over_a_pause(app: Application) -> None:
    other, batch_id = submit(app, 300), submit(app, 300)
    polls = foretold(app, batch_id)
    check(polls)
    assert polls[2][1] > 1.5 * 300 * ITEM_S, "the two have taken turns"
    while judge(app):
        pass
    assert shown(app, other)["finished_at"] is not None
    batch_id = submit(app, 400)
    for _ in range(6):
        judge(app)
    assert shown(app, batch_id)["eta"]["basis"] == "recent"
    app.call("POST", f"/v1/batches/{batch_id}/pause")
    assert (shown(app, batch_id)["eta"], shown(app, batch_id)["no_eta"]) == (None, "paused")
    time.sleep(2.0)
    app.call("POST", f"/v1/batches/{batch_id}/resume")
    assert (shown(app, batch_id)["eta"], shown(app, batch_id)["no_eta"]) == (None, "waiting")
    check(foretold(app, batch_id))


@pytest.mark.pace
def test_the_eta_finds_back_after_the_workers_were_away(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "WINDOW_S", 0.3)
    batch_id = submit(app, 400)
    for _ in range(6):
        judge(app)
    before = shown(app, batch_id)["eta"]["items_per_second"]
    time.sleep(2.0)
    assert shown(app, batch_id)["eta"]["items_per_second"] < before / 2, (
        "no verdict comes: the end moves away"
    )
    polls = foretold(app, batch_id)
    check(polls[len(polls) // 2 :])
