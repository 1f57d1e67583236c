"""Images named as objects of an S3 store: only in the buckets and folders that the operator opened to the tenant."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contract.inputs import SOURCES
from tests.harness.application import Application
from tests.harness.fetching import (
    MOST_BYTES,
    batch_of,
    errors_of,
    fetch_due,
    fetching_application,
    stored_packs,
    submit,
)
from tests.harness.s3 import CREDENTIALS, Buckets, s3_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    with s3_server(tmp_path_factory.mktemp("s3")) as made:
        for bucket in ("parts", "shared", "secret"):
            made.make(bucket)
        yield made


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    artifact: Path,
    broker_url: str,
    s3: Buckets,
) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("installation")
    opened = "default=parts/line-a, default=parts/line-a3, *=shared, other=secret, default=none-such"
    with (
        pytest.MonkeyPatch.context() as environment,
        fetching_application(
            request.param, folder, artifact, broker_url, s3_buckets=opened, s3_endpoint_url=s3.endpoint
        ) as made,
    ):
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        yield made


@pytest.fixture
def image(images: dict[str, bytes]) -> bytes:
    return next(data for data in images.values() if len(data) < MOST_BYTES)


def test_objects_become_items_like_any_other_image(app: Application, s3: Buckets, image: bytes) -> None:
    named = [s3.put("parts", "line-a/Teil 1.jpg", image), s3.put("shared", "a/b/größe.jpg", image)]
    batch = submit(app, [{"object": name, "part_id": "SN-1"} for name in named])
    assert batch["counts"]["queued"] == 2
    assert fetch_due(app) == ["stored"] * 2
    app.work()
    ended = batch_of(app, batch["id"])
    assert (ended["outcome"], ended["parts"]["total"]) == ("all_succeeded", 1)
    assert [item["filename"] for item in app.results(batch["id"])] == ["Teil 1.jpg", "größe.jpg"]
    asked = app.finished({"same.jpg": image})
    assert app.results(asked["id"])[0]["sha256"] == app.results(batch["id"])[0]["sha256"]


@pytest.mark.parametrize("member", SOURCES)
def test_the_examples_of_the_document_are_accepted(app: Application, member: str) -> None:
    described = app.get("/openapi.json")["components"]["schemas"]["Input"]["properties"][member]
    batch = submit(app, [{member: described["examples"][0]}])
    # Before anything is fetched: no request leaves this machine.
    assert app.call("POST", f"/v1/batches/{batch['id']}/cancel").get_json()["counts"]["cancelled"] == 1
    assert fetch_due(app) == []


@pytest.mark.parametrize(
    "name",
    [
        "s3://secret/a.jpg",  # another tenant's
        "s3://nobody/a.jpg",
        "s3://parts/a.jpg",
        "s3://parts/line-ab/a.jpg",
        "s3://parts/line-a/../b/a.jpg",
        "s3://parts/line-a/./a.jpg",
        "s3://parts/line-a//a.jpg",
        "s3://parts/line-a/",
        "s3://shared/..",
    ],
)
def test_an_object_that_is_not_opened_to_the_tenant_is_refused(
    app: Application, s3: Buckets, image: bytes, name: str
) -> None:
    s3.put("secret", "a.jpg", image)
    answer = app.call("POST", "/v1/batches", json={"inputs": [{"object": name}]})
    assert answer.status_code == 422, answer.text
    problem = answer.get_json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("forbidden_object", "/inputs/0/object")


def test_a_bucket_of_one_tenant_is_open_to_that_tenant(app: Application, s3: Buckets, image: bytes) -> None:
    asked = {"inputs": [{"object": s3.put("secret", "a.jpg", image)}]}
    key = app.make_key("other", "submit", "read")
    assert app.call("POST", "/v1/batches", json=asked, key=key).status_code == 202
    assert fetch_due(app) == ["stored"]


def test_an_object_that_cannot_be_read_fails_its_item(app: Application, s3: Buckets, image: bytes) -> None:
    large = s3.put("shared", "large.jpg", b"x" * (MOST_BYTES + 1))
    objects = ["s3://shared/none.jpg", large, s3.put("shared", "empty.jpg", b""), "s3://none-such/a.jpg"]
    batch = submit(app, [{"object": name} for name in objects])
    assert fetch_due(app, until_none=True) == ["failed"] * 4
    assert errors_of(app, batch["id"]) == ["fetch_failed", "too_large", "fetch_failed", "fetch_failed"]
    assert stored_packs(app, batch["id"]) == 0


def test_a_bucket_that_was_closed_meanwhile_is_not_read(app: Application, s3: Buckets, image: bytes) -> None:
    batch = submit(app, [{"object": s3.put("shared", "a.jpg", image)}])
    assert fetch_due(app, s3_buckets="other=secret") == ["failed"]
    assert errors_of(app, batch["id"]) == ["fetch_failed"]


def test_a_store_that_is_away_is_tried_again(app: Application, s3: Buckets, image: bytes) -> None:
    batch = submit(app, [{"object": s3.put("shared", "a.jpg", image)}])
    assert fetch_due(app, s3_endpoint_url="http://127.0.0.1:9") == ["later"]
    assert app.call("POST", f"/v1/batches/{batch['id']}/cancel").status_code == 200


def test_without_the_package_the_submission_says_what_to_install(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    answer = app.call("POST", "/v1/batches", json={"inputs": [{"object": "s3://shared/a.jpg"}]})
    assert answer.status_code == 422
    problem: dict[str, Any] = answer.get_json()
    assert problem["code"] == "no_object_store" and "gonogo[s3]" in problem["detail"]
