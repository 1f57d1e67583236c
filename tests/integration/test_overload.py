"""A full service refuses with a code and a wait, spares other tenants and predictions, and drops no accepted work."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from shared.clock import now
from shared.store.tables import Batch
from tests.harness.application import Application, application
from tests.harness.databases import migrated_database_url
from tests.harness.forms import image_parts
from tests.harness.processes import until
from tests.harness.stack import Stack, running

BOUNDS = {
    "chunk_items": 2, "max_backlog_items": 20, "max_tenant_items": 12, "max_backlog_bytes": 10**6,
    "max_tenant_bytes": 10**6, "web_threads": 4, "predict_wait_s": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    """An installation that holds 20 open items, 12 of them one tenant's, and 4 open predictions."""
    folder, kind = tmp_path_factory.mktemp("installation"), request.param
    with (
        migrated_database_url(kind, folder) as url,
        application(folder, artifact, broker_url, url, **BOUNDS) as made,
    ):
        yield made


@pytest.fixture
def app(full: Application, monkeypatch: pytest.MonkeyPatch) -> Application:
    """The installation without open work; its capacity asks the database at every submission."""
    monkeypatch.setattr(full.service.capacity, "remember_s", 0.0)
    full.work()
    full.work("interactive")
    return full


@contextlib.contextmanager
def bounds(app: Application, **changed: int) -> Iterator[None]:
    """Other bounds for a while."""
    capacity = app.service.capacity
    before, capacity.settings = capacity.settings, replace(capacity.settings, **changed)  # type: ignore[arg-type]
    try:
        yield
    finally:
        capacity.settings = before


def some(images: dict[str, bytes], count: int) -> dict[str, bytes]:
    return dict(list(images.items())[:count])


def send(app: Application, files: dict[str, bytes], **options: Any) -> Any:
    return app.post_form("/v1/batches", *image_parts(files), **options)


def refusal(response: Any) -> tuple[int, str]:
    """Status and code of an answer that must say when to come again."""
    assert int(response.headers["Retry-After"]) >= 1
    return response.status_code, response.get_json()["code"]


def test_a_full_tenant_is_refused_by_its_own_bound_and_another_is_not(
    app: Application, images: dict[str, bytes]
) -> None:
    assert send(app, some(images, 12)).status_code == 202
    assert refusal(send(app, some(images, 1))) == (429, "quota_exceeded")
    other = app.make_key("other", "submit")
    assert send(app, some(images, 8), key=other).status_code == 202
    assert refusal(send(app, some(images, 1), key=other)) == (503, "backlog_full")
    app.work()
    assert send(app, some(images, 1)).status_code == 202


@pytest.mark.parametrize(
    ("bound", "refused"),
    [("max_tenant_bytes", (429, "quota_exceeded")), ("max_backlog_bytes", (503, "backlog_full"))],
)
def test_bytes_have_a_bound_too_and_count_for_open_items_alone(
    app: Application, images: dict[str, bytes], bound: str, refused: tuple[int, str]
) -> None:
    files = some(images, 4)
    stored = sum(map(len, files.values()))
    with bounds(app, **{bound: stored}):
        assert send(app, files).status_code == 202
        assert refusal(send(app, some(images, 1))) == refused
        app.work()
        assert send(app, some(images, 1)).status_code == 202


def test_a_refused_submission_leaves_nothing_and_its_key_is_free(
    app: Application, images: dict[str, bytes]
) -> None:
    send(app, some(images, 12))
    stored = sorted(app.service.blobs.batch_ids())
    assert refusal(send(app, some(images, 2), Idempotency_Key="later"))[0] == 429
    assert sorted(app.service.blobs.batch_ids()) == stored
    app.work()
    accepted = send(app, some(images, 2), Idempotency_Key="later")
    assert (accepted.status_code, "Idempotent-Replayed" in accepted.headers) == (202, False)


def test_what_was_accepted_is_answered_again_however_full_it_is(
    app: Application, images: dict[str, bytes]
) -> None:
    first = send(app, some(images, 12), Idempotency_Key="accepted")
    with bounds(app, min_free_bytes=2**62):
        again = send(app, some(images, 12), Idempotency_Key="accepted")
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
        assert again.get_json()["id"] == first.get_json()["id"]
        other = app.make_key("other", "submit")
        assert refusal(send(app, some(images, 1), Idempotency_Key="accepted", key=other))[0] == 503


def test_the_wait_is_what_the_measured_speed_needs(app: Application, images: dict[str, bytes]) -> None:
    batch_id = send(app, some(images, 12)).get_json()["id"]
    assert send(app, some(images, 1)).headers["Retry-After"] == "30"  # nothing is under way: no speed
    with app.database.write() as connection:  # 8 of 12 done in 80 s: 0.1 a second
        connection.execute(
            update(Batch).where(Batch.id == batch_id).values(started_at=now() - 80, queued=4, succeeded=8)
        )
    with bounds(app, max_tenant_items=1):
        assert 38 <= int(send(app, some(images, 1)).headers["Retry-After"]) <= 42  # 4 must end
    with bounds(app, max_tenant_bytes=1):
        assert 45 <= int(send(app, some(images, 1)).headers["Retry-After"]) <= 55  # 4 and one more
    with app.database.write() as connection:
        connection.execute(update(Batch).where(Batch.id == batch_id).values(queued=12, succeeded=0))


def predict(app: Application, images: dict[str, bytes]) -> Any:
    return app.call("POST", "/v1/predict", data=next(iter(images.values())), content_type="image/jpeg")


def test_predictions_pass_a_full_backlog_and_have_a_bound_of_their_own(
    app: Application, images: dict[str, bytes]
) -> None:
    send(app, some(images, 12))
    send(app, some(images, 12), key=app.make_key("other", "submit"))
    assert refusal(send(app, some(images, 1), key=app.make_key("third", "submit")))[0] == 503
    for _ in range(4):  # accepted, and no worker of the lane answers
        assert refusal(predict(app, images)) == (503, "no_verdict_yet")
    assert refusal(predict(app, images)) == (503, "backlog_full")
    app.work("interactive")
    assert refusal(predict(app, images)) == (503, "no_verdict_yet")


def test_predictions_do_not_count_against_batches(app: Application, images: dict[str, bytes]) -> None:
    for _ in range(3):
        predict(app, images)
    with bounds(app, max_tenant_items=1, max_backlog_items=1):
        assert send(app, some(images, 1)).status_code == 202


def test_low_disk_refuses_every_upload_running_work_ends_and_room_is_all_it_takes(
    app: Application, images: dict[str, bytes]
) -> None:
    accepted = send(app, some(images, 4)).get_json()["id"]
    with bounds(app, min_free_bytes=2**62):
        assert refusal(send(app, some(images, 1))) == (503, "storage_full")
        assert refusal(predict(app, images)) == (503, "storage_full")
        app.work()
        assert app.get(f"/v1/batches/{accepted}")["outcome"] == "all_succeeded"
    assert send(app, some(images, 1)).status_code == 202


def test_a_body_that_would_take_the_last_room_is_refused_before_it_is_read(
    app: Application, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.service.blobs, "free_bytes", lambda: 10_000)
    with bounds(app, min_free_bytes=5_000):
        assert refusal(send(app, some(images, 12))) == (503, "storage_full")
        assert send(app, some(images, 1)).status_code == 202


def test_an_upload_that_meets_a_disk_filled_by_others_is_undone(
    app: Application, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([2**40, 2**40, 2**40])  # at the door, then at the first two packs
    monkeypatch.setattr(app.service.blobs, "free_bytes", lambda: next(left, 0))
    before = sorted(app.service.blobs.batch_ids())
    with bounds(app, min_free_bytes=1):  # four packs of two images
        assert refusal(send(app, some(images, 8))) == (503, "storage_full")
    assert sorted(app.service.blobs.batch_ids()) == before
    assert all(batch["status"] != "queued" for batch in app.get("/v1/batches")["data"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    """A web process and an interactive worker; no worker takes batches until a test says so."""
    tiny: dict[str, Any] = {"max_backlog_items": 40, "max_tenant_items": 40, "max_tenant_bytes": 2**40}
    with running(
        tmp_path_factory.mktemp("stack"), [artifact], "web", "interactive", "sweep", **tiny
    ) as started:
        until(lambda: has_a_worker(started), 60, "the interactive worker")
        yield started


def has_a_worker(stack: Stack) -> bool:
    try:
        return bool(stack.get("/v1/workers")[1]["data"])
    except OSError:
        return False


@pytest.mark.pace
def test_a_real_service_refuses_predicts_meanwhile_and_ends_all_it_accepted(
    stack: Stack, images: dict[str, bytes]
) -> None:
    files = some(images, 10)
    accepted = []
    refused: tuple[int, dict[str, str], bytes] | None = None
    for _ in range(40):
        answer = stack.post_batch(files)
        if answer[0] != 202:
            refused = answer
            break
        accepted.append(answer[1]["location"].rsplit("/", 1)[1])
        time.sleep(0.3)
    assert refused is not None
    assert refused[0] == 429
    assert 1 <= int(refused[1]["retry-after"]) <= 3600
    assert len(accepted) >= 4
    status, _, _ = stack.request("POST", "/v1/predict", next(iter(files.values())), Content_Type="image/jpeg")
    assert status == 200
    stack.start("bulk")
    for batch_id in accepted:
        assert stack.finish(batch_id, 120)["outcome"] == "all_succeeded"
        assert len(stack.items(batch_id)) == 10
    until(lambda: stack.post_batch(files)[0] == 202, 30, "it takes work again by itself")
