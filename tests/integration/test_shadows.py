"""A candidate scores a share of the images as spare work, and no reader sees them as verdicts; on both databases."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from shared.lifecycle import claims, leases, sampling, shadows
from shared.store.tables import Chunk
from tests.harness.application import Application
from tests.harness.plans import plan, statements
from tests.harness.shadows import list_ended, register_candidate, score_all
from worker.inference import shadow as spare
from worker.inference.predict import predict_or_halve
from worker.upkeep.site import Site, open_site


@pytest.fixture(scope="module")
def candidate(app: Application, tmp_path_factory: pytest.TempPathFactory) -> str:
    return register_candidate(app, tmp_path_factory.mktemp("candidate"))


@pytest.fixture
def site(app: Application) -> Iterator[Site]:
    made = open_site(app.runtime.settings)
    yield made
    made.database.dispose()


@pytest.fixture
def started(app: Application, candidate: str) -> Iterator[dict[str, Any]]:
    """A shadow of all images, which is stopped at the end."""
    answer = app.call("POST", "/v1/shadows", json={"candidate": candidate, "share": 1.0})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    yield made
    app.call("POST", f"/v1/shadows/{made['id']}/stop")


def report(app: Application, shadow: dict[str, Any], **options: Any) -> dict[str, Any]:
    return dict(app.get(f"/v1/shadows/{shadow['id']}", **options))


def some(images: dict[str, bytes], first: int, count: int) -> dict[str, bytes]:
    return dict(list(images.items())[first : first + count])


def test_a_shadow_tells_how_often_the_candidate_says_otherwise(
    app: Application, images: dict[str, bytes], site: Site, started: dict[str, Any]
) -> None:
    every = {"operating_point": {"threshold": 0.0, "review_band": [0.0, 0.0]}}
    batch = app.finished(some(images, 0, 20), every)
    before = app.results(batch["id"])
    shown = app.get(f"/v1/batches/{batch['id']}")
    events = list(app.call("GET", f"/v1/batches/{batch['id']}/events").text.splitlines())
    score_all(app, site)
    found = report(app, started)
    assert found["images"] == 20
    assert found["agree"] + sum(change["count"] for change in found["changes"]) == 20
    assert found["to_defect"] == 0, "the model calls each of them a defect"
    assert {change["before"] for change in found["changes"]} <= {"defect"}
    assert found["flip_rate"]["low"] <= (20 - found["agree"]) / 20 <= found["flip_rate"]["high"]
    assert found["recommendation"]["advice"] == "not_enough_images"
    assert "not enough images" in found["recommendation"]["text"]
    # No word of it anywhere else.
    assert app.results(batch["id"]) == before
    assert app.get(f"/v1/batches/{batch['id']}") == shown
    assert list(app.call("GET", f"/v1/batches/{batch['id']}/events").text.splitlines()) == events
    assert started["candidate_id"] not in json.dumps([before, shown, events])
    assert app.call("DELETE", f"/v1/batches/{batch['id']}").status_code == 204
    assert report(app, started)["images"] == 0, "its scores go with the batch"


def test_a_share_of_the_images_is_scored_and_always_the_same(
    app: Application, images: dict[str, bytes], site: Site, candidate: str
) -> None:
    made = app.call("POST", "/v1/shadows", json={"candidate": candidate, "share": 0.3}).get_json()
    batch = app.finished(some(images, 20, 100))
    score_all(app, site)
    place = range(100)
    wanted = sum(sampling.is_sampled(batch["id"], seq, 0.3, shadows.SAMPLE) for seq in place)
    assert 10 < wanted < 60
    assert report(app, made)["images"] == wanted
    score_all(app, site)
    assert report(app, made)["images"] == wanted, "each image is scored once"
    app.call("POST", f"/v1/shadows/{made['id']}/stop")
    app.finished(some(images, 120, 8))
    score_all(app, site)
    assert report(app, made)["images"] == wanted, "a stopped shadow scores no more"


def test_persons_tell_which_version_is_right(
    app: Application, images: dict[str, bytes], site: Site, started: dict[str, Any]
) -> None:
    every = {"operating_point": {"threshold": 0.0, "review_band": [0.0, 0.0]}}
    batch = app.finished(some(images, 130, 40), every)
    score_all(app, site)
    flips = report(app, started)["to_no_defect"]
    for item in app.results(batch["id"]):
        given = app.call("POST", f"/v1/items/{item['id']}/review", json={"verdict": "no_defect"})
        assert given.status_code == 200, given.text
    found = report(app, started)
    assert found["reviewed"]["only_candidate_right"] == flips
    assert found["reviewed"]["only_model_right"] == 0
    if flips >= 6:
        assert found["recommendation"]["advice"] == "candidate"
    assert app.call("DELETE", f"/v1/batches/{batch['id']}").status_code == 204


def test_no_verdict_waits_for_a_candidate(
    app: Application,
    images: dict[str, bytes],
    site: Site,
    started: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app.finished(some(images, 170, 30))
    list_ended(site)
    waiting = app.submit(some(images, 200, 40))
    scored: list[int] = []

    def predict(*given: Any) -> Any:
        """A chunk comes while the candidate scores the third image."""
        scored.append(len(given[1]))
        if len(scored) == 3:
            app.submit(some(images, 240, 1))
        return predict_or_halve(*given)

    monkeypatch.setattr(spare, "predict_or_halve", predict)
    assert spare.score_some(app.runtime, 60.0) is False
    assert scored == [], "a chunk waits in the queue"
    with app.runtime.database.write() as connection:
        held = claims.claim(
            connection, lanes=["normal"], micro_batch=1, token="t", host=app.runtime.who.host, pid=1, lease_s=60.0
        )  # fmt: skip
        connection.execute(update(Chunk).where(Chunk.status == "queued").values(status="held"))
    assert spare.score_some(app.runtime, 60.0) is False
    assert (len(held), scored) == (1, []), "another worker of this host works on a chunk"
    with app.runtime.database.write() as connection:
        leases.release(connection, held[0], "model_refused", "as told", wait_s=0.0)
        connection.execute(update(Chunk).where(Chunk.status == "held").values(status="queued"))
    app.work()
    assert app.get(f"/v1/batches/{waiting['id']}")["status"] == "completed"
    assert spare.score_some(app.runtime, 60.0) is False
    assert scored == [1, 1, 1], "the chunk waits for the image in hand, and for no other"
    app.work()
    score_all(app, site)
    assert report(app, started)["images"] == 71, "the images that were taken before are given back"


def test_a_shadow_is_its_tenants_and_made_once(
    app: Application, candidate: str, started: dict[str, Any]
) -> None:
    again = app.call("POST", "/v1/shadows", json={"candidate": candidate, "share": 1.0})
    assert (again.status_code, again.get_json()) == (201, started)
    other = app.call("POST", "/v1/shadows", json={"candidate": candidate, "share": 0.5})
    assert (other.status_code, other.get_json()["code"]) == (409, "wrong_state")
    same = app.call("POST", "/v1/shadows", json={"candidate": app.model_id, "share": 0.5})
    assert (same.status_code, same.get_json()["code"]) == (409, "wrong_state")
    stranger, reader = app.make_key("other", "admin"), app.make_key("default", "read")
    assert app.call("GET", f"/v1/shadows/{started['id']}", key=stranger).status_code == 404
    assert app.call("POST", f"/v1/shadows/{started['id']}/stop", key=stranger).status_code == 404
    assert app.get("/v1/shadows", key=stranger)["data"] == []
    assert app.call("POST", f"/v1/shadows/{started['id']}/stop", key=reader).status_code == 403
    assert [each["id"] for each in app.get("/v1/shadows", key=reader)["data"]].count(started["id"]) == 1
    stopped = app.call("POST", f"/v1/shadows/{started['id']}/stop").get_json()
    assert (stopped["status"], stopped["started_by"]) == ("stopped", stopped["stopped_by"])
    assert app.call("POST", f"/v1/shadows/{started['id']}/stop").get_json() == stopped


def test_an_image_that_kills_its_worker_is_not_tried_again(
    app: Application,
    images: dict[str, bytes],
    site: Site,
    started: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: Any) -> None:
        raise Killed

    app.finished(some(images, 250, 12))
    list_ended(site)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(spare, "predict_or_halve", dies)
        spare.score_some(app.runtime)
    score_all(app, site)
    assert report(app, started)["images"] == 12 - shadows.AT_ONCE


def test_starts_and_stops_at_once_are_all_answered(app: Application, candidate: str) -> None:
    """A start that finds a shadow in its way, which is stopped before it is read, starts another."""

    def start_and_stop(_: int) -> tuple[int, int]:
        made = app.call("POST", "/v1/shadows", json={"candidate": candidate, "share": 0.4})
        return made.status_code, app.call("POST", f"/v1/shadows/{made.get_json()['id']}/stop").status_code

    with ThreadPoolExecutor(4) as pool:
        assert {*pool.map(start_and_stop, range(60))} == {(201, 200)}
    with app.database.read() as connection:
        assert shadows.running(connection) == []


def test_a_shadow_ends_when_it_has_scored_enough(
    app: Application,
    images: dict[str, bytes],
    site: Site,
    started: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadows, "MOST", 10)
    batch = app.finished(some(images, 0, 40))
    score_all(app, site)
    found = report(app, started)
    assert 10 <= found["images"] < 10 + shadows.AT_ONCE
    assert (found["status"], found["stopped_by"]) == ("stopped", None)
    assert app.call("DELETE", f"/v1/batches/{batch['id']}").status_code == 204


def test_a_candidate_takes_the_place_of_no_model_that_judges(
    app: Application, images: dict[str, bytes], site: Site, started: dict[str, Any]
) -> None:
    loaded = app.runtime.models.ids
    app.finished(some(images, 40, 4))
    score_all(app, site)
    assert report(app, started)["images"] == 4
    assert app.runtime.candidates.ids == (started["candidate_id"],)
    assert set(app.runtime.models.ids) == set(loaded) | {app.model_id}


def test_every_statement_of_shadows_finds_its_rows_by_an_index(
    app: Application, images: dict[str, bytes], site: Site, started: dict[str, Any]
) -> None:
    with statements(app.runtime.database.engine) as seen, statements(site.database.engine) as swept:
        batch = app.finished(some(images, 50, 20))
        score_all(app, site)
        with app.runtime.database.write() as connection:
            shadows.forget(connection, batch["id"])
    about = [
        (sql, given) for sql, given in (*seen, *swept) if "shadow" in sql and not sql.startswith("INSERT")
    ]
    assert len(about) >= 8
    for sql, given in about:
        found = plan(app.database, sql, given, small=True)
        for table in ("items", "batches", "chunks", "shadow_scores"):
            assert f"Seq Scan on {table}" not in found and f"SCAN {table}" not in found, (sql, found)
