"""An Idempotency-Key makes a repeated submission the same submission, also while and after the first one fails."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from shared.lifecycle import idempotency
from shared.store.tables import Batch, Submission
from tests.harness.application import Application, application
from tests.harness.databases import migrated_database_url
from tests.harness.forms import HalfwayBody, as_form, image_parts, options_part


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    """Chunks of one item, so that rows and bytes are there in the middle of an upload."""
    folder, kind = tmp_path_factory.mktemp("installation"), request.param
    with (
        migrated_database_url(kind, folder) as url,
        application(folder, artifact, broker_url, url, chunk_items=1) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def files(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:4])


def batches(app: Application) -> int:
    with app.database.read() as connection:
        return connection.scalar(select(func.count()).select_from(Batch)) or 0


def send(app: Application, files: dict[str, bytes], idempotency_key: str, **options: Any) -> Any:
    asked = options_part(options.pop("asked", {}))
    return app.post_form(
        "/v1/batches", asked, *image_parts(files), Idempotency_Key=idempotency_key, **options
    )


def end_claim(app: Application, idempotency_key: str) -> None:
    """End the lease of a claim, as time does after the death of the upload's process."""
    with app.database.write() as connection:
        of_key = Submission.key == idempotency_key
        connection.execute(update(Submission).where(of_key).values(lease_until=1.0))


def test_a_repeated_submission_is_answered_with_the_first_batch(
    app: Application, files: dict[str, bytes]
) -> None:
    first = send(app, files, "repeat")
    before = batches(app), sorted(app.service.blobs.batch_ids())
    again = send(app, files, "repeat", boundary="quite-another-boundary")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert again.get_json()["id"] == first.get_json()["id"]
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert (batches(app), sorted(app.service.blobs.batch_ids())) == before


def test_the_state_that_is_answered_is_the_newest(app: Application, files: dict[str, bytes]) -> None:
    send(app, files, "newest")
    app.work()
    assert send(app, files, "newest").get_json()["status"] == "completed"


def test_a_key_outlives_its_batch_and_judges_nothing_again(app: Application, files: dict[str, bytes]) -> None:
    batch_id = app.finished(files, Idempotency_Key="outlives")["id"]
    assert app.call("DELETE", f"/v1/batches/{batch_id}").status_code == 204
    before = batches(app)
    again = send(app, files, "outlives")
    problem = again.get_json()
    assert (again.status_code, problem["code"]) == (410, "batch_deleted")
    assert batch_id in problem["detail"]
    assert problem["errors"][0]["pointer"] == "/header/Idempotency-Key"
    assert batches(app) == before
    with app.database.write() as connection:
        idempotency.forget(connection, idempotency.outlived(connection, time.time() + 86_300, 100))
    assert send(app, files, "outlives").status_code == 410, "a day is not over"
    with app.database.write() as connection:
        idempotency.forget(connection, idempotency.outlived(connection, time.time() + 86_500, 100))
    assert send(app, files, "outlives").get_json()["id"] != batch_id


@pytest.mark.parametrize("draft_first", [True, False])
def test_a_draft_and_a_batch_are_other_content_and_a_wait_is_not(
    app: Application, files: dict[str, bytes], draft_first: bool
) -> None:
    paths = ["/v1/batches?draft=true", "/v1/batches?draft=false", "/v1/batches"]
    first, other = (paths[0], paths[1:]) if draft_first else (paths[2], paths[:1])
    key = {"Idempotency_Key": f"draft-{draft_first}"}
    made = app.post_form(first, *image_parts(files), **key)
    assert (made.status_code, made.get_json()["status"]) == (202, "draft" if draft_first else "queued")
    for path in other:
        refused = app.post_form(path, *image_parts(files), **key)
        assert (refused.status_code, refused.get_json()["code"]) == (422, "idempotency_key_reused")
    again = app.post_form(f"{first}{'&' if '?' in first else '?'}wait=0.1", *image_parts(files), **key)
    assert (again.status_code, again.get_json()["id"]) == (202, made.get_json()["id"])


@pytest.mark.parametrize("change", ["a name", "a byte", "an option", "one more", "one less", "the order"])
def test_other_content_under_the_same_key_is_refused(
    app: Application, files: dict[str, bytes], change: str
) -> None:
    send(app, files, change)
    names, data = list(files), list(files.values())
    other = {
        "a name": {**dict(list(files.items())[1:]), "renamed.jpg": data[0]},
        "a byte": {**files, names[3]: data[3][:-1] + b"x"},
        "an option": files,
        "one more": {**files, "more.jpg": data[0]},
        "one less": dict(list(files.items())[:3]),
        "the order": dict(reversed(files.items())),
    }[change]
    before = batches(app)
    response = send(app, other, change, asked={"priority": "low"} if change == "an option" else {})
    assert (response.status_code, response.get_json()["code"]) == (422, "idempotency_key_reused")
    assert batches(app) == before


def test_keys_belong_to_their_tenant(app: Application, files: dict[str, bytes]) -> None:
    other = app.make_key("other-tenant", "submit")
    assert (
        send(app, files, "shared").get_json()["id"] != send(app, files, "shared", key=other).get_json()["id"]
    )


@pytest.mark.parametrize("idempotency_key", ["", "x" * 256])
def test_a_key_that_cannot_be_kept_is_refused(
    app: Application, files: dict[str, bytes], idempotency_key: str
) -> None:
    response = send(app, files, idempotency_key)
    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_idempotency_key")


def test_a_refused_submission_gives_its_key_back(app: Application, files: dict[str, bytes]) -> None:
    assert send(app, files, "mended", asked={"priority": "urgent"}).status_code == 400
    assert send(app, files, "mended").status_code == 202


def test_while_the_first_upload_runs_a_second_is_told_to_wait(
    app: Application, files: dict[str, bytes]
) -> None:
    body = HalfwayBody(as_form(options_part({}), *image_parts(files)))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(app.call, "POST", "/v1/batches", Idempotency_Key="slow", **body.options)
        try:
            assert body.reached.wait(30)
            second = send(app, files, "slow")
        finally:
            body.go.set()
        accepted = first.result(60)
    assert (second.status_code, second.get_json()["code"]) == (409, "idempotency_key_in_use")
    assert int(second.headers["Retry-After"]) >= 1
    assert accepted.status_code == 202
    assert send(app, files, "slow").get_json()["id"] == accepted.get_json()["id"]


def test_a_retry_after_the_claim_has_ended_is_the_only_one_that_counts(
    app: Application, files: dict[str, bytes]
) -> None:
    before = batches(app)
    body = HalfwayBody(as_form(options_part({}), *image_parts(files)))
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(app.call, "POST", "/v1/batches", Idempotency_Key="hung", **body.options)
        try:
            assert body.reached.wait(30)
            end_claim(app, "hung")
            retry = send(app, files, "hung")
        finally:
            body.go.set()
        late = hung.result(60)
    assert retry.status_code == 202
    assert (late.status_code, late.get_json()["code"]) == (409, "upload_lost")
    assert batches(app) == before + 1
    assert send(app, files, "hung").get_json()["id"] == retry.get_json()["id"]
    app.work()
    assert app.get(f"/v1/batches/{retry.get_json()['id']}")["outcome"] == "all_succeeded"
