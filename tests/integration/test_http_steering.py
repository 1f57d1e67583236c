"""Pause, resume, retry and delete over HTTP, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from shared.store.tables import BatchEvent
from tests.harness.application import Application
from tests.harness.forms import image_parts, options_part

DAMAGED = b"\xff\xd8\xff not a JPEG"


@pytest.fixture(scope="module")
def image(images: dict[str, bytes]) -> bytes:
    return next(iter(images.values()))


def post(app: Application, batch: str, step: str) -> tuple[int, dict[str, Any]]:
    answer = app.call("POST", f"/v1/batches/{batch}/{step}")
    return answer.status_code, answer.get_json()


def test_a_paused_batch_waits_and_goes_on_when_it_is_resumed(app: Application, image: bytes) -> None:
    batch = app.submit({"a.jpg": image, "b.jpg": image})["id"]
    assert post(app, batch, "pause")[1]["status"] == "paused"
    assert post(app, batch, "pause")[0] == 200, "a repeated pause changes nothing"
    app.work()
    paused = app.get(f"/v1/batches/{batch}")
    assert (paused["status"], paused["counts"]["queued"], paused["eta"]) == ("paused", 2, None)
    status, resumed = post(app, batch, "resume")
    assert (status, resumed["status"]) == (200, "queued")
    assert post(app, batch, "resume")[0] == 200
    app.work()
    assert app.get(f"/v1/batches/{batch}")["status"] == "completed"
    for step in ("pause", "resume"):
        status, problem = post(app, batch, step)
        assert (status, problem["code"]) == (409, "wrong_state")


def test_the_same_step_sent_by_many_at_once_is_done_once_and_refused_to_none(
    app: Application, image: bytes
) -> None:
    def at_once(batch: str, step: str) -> set[int]:
        with ThreadPoolExecutor(6) as pool:
            return {status for status, _ in pool.map(lambda _: post(app, batch, step), range(6))}

    for _ in range(4):
        draft = app.post_form("/v1/batches?draft=true", options_part({})).get_json()["id"]
        files = {"bad.jpg": DAMAGED, "a.jpg": image}
        assert (
            app.post_form(f"/v1/batches/{draft}/items?part_number=1", *image_parts(files)).status_code == 200
        )
        for step in ("finalize", "pause", "resume"):
            assert at_once(draft, step) == {200}, step
        app.work()
        assert at_once(draft, "retry") == {200}
        with app.database.read() as connection:
            told = connection.scalars(select(BatchEvent.type).where(BatchEvent.batch_id == draft)).all()
        assert len(told) == len({*told}), told


def test_a_paused_batch_can_be_cancelled(app: Application, image: bytes) -> None:
    batch = app.submit({"a.jpg": image})["id"]
    post(app, batch, "pause")
    assert post(app, batch, "cancel")[1]["counts"] == {
        "total": 1, "queued": 0, "processing": 0, "succeeded": 0, "failed": 0, "cancelled": 1, "expired": 0,
    }  # fmt: skip
    assert post(app, batch, "resume")[0] == 409


def test_a_retry_judges_the_failed_items_only(app: Application, image: bytes) -> None:
    batch = app.finished({"good.jpg": image, "bad.jpg": DAMAGED})["id"]
    before = {item["filename"]: item for item in app.results(batch)}
    assert before["bad.jpg"]["status"] == "failed"
    status, running = post(app, batch, "retry")
    assert (status, running["status"], running["outcome"]) == (200, "processing", None)
    assert running["counts"]["queued"] == 1
    assert post(app, batch, "retry")[0] == 200, "a repeated retry changes nothing"
    app.work()
    ended = app.get(f"/v1/batches/{batch}")
    assert (ended["status"], ended["outcome"]) == ("completed", "partial")
    after = {item["filename"]: item for item in app.results(batch)}
    assert after["good.jpg"] == before["good.jpg"]
    assert after["bad.jpg"]["error"]["code"] == before["bad.jpg"]["error"]["code"]
    assert after["bad.jpg"]["finished_at"] > before["bad.jpg"]["finished_at"]


def test_there_must_be_something_to_retry(app: Application, image: bytes) -> None:
    running = app.submit({"a.jpg": image})["id"]
    assert post(app, running, "retry")[0] == 409
    app.work()
    status, problem = post(app, running, "retry")
    assert (status, problem["code"]) == (409, "wrong_state")
    assert "no failed item" in str(problem["detail"])


def test_each_end_of_a_retried_batch_is_an_event(app: Application) -> None:
    options = {"webhook": {"url": "https://receiver.example/"}}
    batch = app.finished({"bad.jpg": DAMAGED}, options)["id"]
    post(app, batch, "retry")
    app.work()
    with app.database.read() as connection:
        query = "SELECT event, run FROM webhook_deliveries ORDER BY run"
        owed = [tuple(row) for row in connection.exec_driver_sql(query)]
    assert owed == [("batch.completed", 1), ("batch.completed", 2)]


def test_foreign_batches_cannot_be_steered(app: Application) -> None:
    for step in ("pause", "resume", "retry"):
        assert post(app, "bat_00000000000000000000000000", step)[0] == 404


def test_a_batch_without_an_open_item_is_not_cancelled(app: Application, image: bytes) -> None:
    batch = app.submit({"a.jpg": image})["id"]
    with app.database.write() as connection:  # as between the record of its last chunk and its end
        connection.exec_driver_sql("UPDATE items SET status = 'succeeded'")
        connection.exec_driver_sql("UPDATE chunks SET status = 'done'")
        connection.exec_driver_sql("UPDATE batches SET status = 'processing', queued = 0, succeeded = 1")
    assert post(app, batch, "cancel")[0] == 409
    assert app.get(f"/v1/batches/{batch}")["status"] != "cancelled"


def test_a_body_where_none_is_taken_is_refused(app: Application, image: bytes) -> None:
    batch = app.submit({"a.jpg": image})["id"]
    answer = app.call("POST", f"/v1/batches/{batch}/pause", json={"force": True})
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (400, "")
    assert app.call("POST", f"/v1/batches/{batch}/pause", json={}).status_code == 200
