"""Model versions: uploaded, activated without a restart, rolled back, and refused when their bytes are wrong."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.harness.application import Application, application
from tests.harness.artifacts import write_untrained
from tests.harness.databases import migrated_database_url
from tests.harness.forms import HalfwayBody

OCTETS = {"content_type": "application/octet-stream"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("installation")
    with (
        migrated_database_url(request.param, folder) as url,
        application(folder, artifact, broker_url, url) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def same_start(app: Application) -> None:
    """The first model is active before each test, whatever the test before left."""
    assert app.call("POST", f"/v1/models/{app.model_id}/activate").status_code == 200


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a second model."""
    return write_untrained(tmp_path_factory.mktemp("other") / "o.gonogo", seed=1, name="other").read_bytes()


def upload(app: Application, data: bytes) -> Any:
    return app.call("POST", "/v1/models", data=data, **OCTETS)


def tried(app: Application, data: bytes) -> Any:
    """A version that was uploaded and tried by a worker."""
    answer = upload(app, data)
    assert answer.status_code == 201, answer.text
    app.try_model(answer.get_json()["id"])
    versions = app.get("/v1/models")["data"]
    return next(version for version in versions if version["id"] == answer.get_json()["id"])


def active(app: Application) -> list[str]:
    return [model["id"] for model in app.get("/v1/models")["data"] if model["active"]]


def test_an_artifact_is_uploaded_once_however_often_it_is_sent(app: Application, other: bytes) -> None:
    first, second = upload(app, other), upload(app, other)
    assert first.status_code == second.status_code == 201
    model = first.get_json()
    assert (model["name"], model["active"]) == ("other", False)
    assert second.get_json()["id"] == model["id"]
    assert [entry["id"] for entry in app.get("/v1/models")["data"]].count(model["id"]) == 1
    assert app.service.blobs.artifact_path(model["sha256"]).read_bytes() == other


def test_new_batches_use_the_active_version_and_running_ones_keep_theirs(
    app: Application, other: bytes, images: dict[str, bytes]
) -> None:
    files = dict(list(images.items())[:3])
    identifier = tried(app, other)["id"]
    before = app.submit(files)
    assert app.call("POST", f"/v1/models/{identifier}/activate").get_json()["active"] is True
    assert active(app) == [identifier]
    after = app.submit(files)
    app.work()
    assert [batch["model"]["id"] for batch in (before, after)] == [app.model_id, identifier]
    for batch in (before, after):
        used = {item["model_sha256"] for item in app.results(batch["id"])}
        assert used == {batch["model"]["sha256"]}
    asked = app.submit(files, {"model": app.model_id})
    named = app.submit(files, {"model": "untrained"})
    assert asked["model"]["id"] == named["model"]["id"] == app.model_id
    app.work()


def test_a_rollback_goes_back_to_the_version_that_it_names(
    app: Application, other: bytes, tmp_path: Path
) -> None:
    second = tried(app, other)["id"]
    third = tried(app, write_untrained(tmp_path / "t.gonogo", seed=21, name="third").read_bytes())["id"]
    never = tried(app, write_untrained(tmp_path / "n.gonogo", seed=22, name="never").read_bytes())["id"]
    for identifier in (app.model_id, second, third):
        assert app.call("POST", f"/v1/models/{identifier}/activate").status_code == 200
    for _ in range(2):  # it does not toggle: each names its target
        assert app.call("POST", f"/v1/models/{third}/rollback").get_json()["code"] == "wrong_state"
        back = app.call("POST", f"/v1/models/{app.model_id}/rollback")
        assert (back.status_code, back.get_json()["active"], active(app)) == (200, True, [app.model_id])
        forth = app.call("POST", f"/v1/models/{third}/rollback")
        assert (forth.status_code, active(app)) == (200, [third])
    assert len(forth.get_json()["activated_at"]) == 3
    refused = app.call("POST", f"/v1/models/{never}/rollback")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "wrong_state")
    assert app.call("POST", f"/v1/models/{app.model_id}/rollback").status_code == 200


def test_the_card_is_what_the_artifact_holds(app: Application) -> None:
    card = app.get(f"/v1/models/{app.model_id}/card")
    assert card["network"]["width"] == 64


def test_broken_artifacts_are_refused_and_leave_nothing(app: Application, other: bytes) -> None:
    flipped = bytearray(other)
    flipped[len(other) // 2] ^= 0xFF
    before = app.get("/v1/models")
    for data in (b"", b"no zip at all", other[: len(other) // 2], bytes(flipped)):
        response = upload(app, data)
        assert (response.status_code, response.get_json()["code"]) == (400, "invalid_artifact")
    assert app.get("/v1/models") == before
    assert list(app.service.blobs.spool_folder().iterdir()) == []


@pytest.mark.parametrize(
    ("member", "data"),
    [
        ("manifest.json", b"[" * 100_000),
        ("card.json", b"[" * 100_000),
        ("manifest.json", None),
        ("extra", b""),
    ],
)
def test_an_artifact_that_is_not_what_it_should_be_is_refused_by_its_member(
    app: Application, other: bytes, member: str, data: bytes | None
) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(other)) as old, zipfile.ZipFile(made, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()} | {member: data}
        if member == "card.json":
            manifest = json.loads(contents["manifest.json"] or b"")
            manifest["members"][member] = hashlib.sha256(data or b"").hexdigest()
            contents["manifest.json"] = json.dumps(manifest).encode()
        for name, content in contents.items():
            if content is not None:
                new.writestr(name, content)
    problem = upload(app, made.getvalue()).get_json()
    assert (problem["status"], problem["code"]) == (400, "invalid_artifact")
    assert member in problem["detail"]
    assert "tmp" not in problem["detail"]


def test_another_media_type_is_refused(app: Application, other: bytes) -> None:
    response = app.call("POST", "/v1/models", data=other, content_type="multipart/form-data; boundary=x")
    assert (response.status_code, response.get_json()["code"]) == (415, "unsupported_media_type")


def test_what_is_not_there_cannot_be_activated(app: Application) -> None:
    for action in ("activate", "rollback"):
        assert app.call("POST", f"/v1/models/mdl_none/{action}").status_code == 404
    assert app.call("GET", "/v1/models/mdl_none/card").status_code == 404


def test_a_version_whose_bytes_are_gone_or_changed_is_not_activated(
    app: Application, tmp_path: Path, images: dict[str, bytes]
) -> None:
    data = write_untrained(tmp_path / "third.gonogo", seed=2, name="third").read_bytes()
    model = tried(app, data)
    path = app.service.blobs.artifact_path(model["sha256"])
    path.write_bytes(data[:-100])
    assert app.call("POST", f"/v1/models/{model['id']}/activate").get_json()["code"] == "invalid_artifact"
    path.unlink()
    gone = app.call("POST", f"/v1/models/{model['id']}/activate")
    assert (gone.status_code, gone.get_json()["code"]) == (409, "artifact_missing")
    assert active(app) == [app.model_id]


def test_two_uploads_at_once_do_not_mix(app: Application, tmp_path: Path) -> None:
    contents = [
        write_untrained(tmp_path / f"{seed}.gonogo", seed=seed, name=f"m{seed}").read_bytes()
        for seed in (5, 6)
    ]
    bodies = [HalfwayBody({"data": data, **OCTETS}) for data in contents]
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(app.call, "POST", "/v1/models", **body.options) for body in bodies]
        try:
            assert all(body.reached.wait(30) for body in bodies)
        finally:
            for body in bodies:
                body.go.set()
        answers = [future.result(60) for future in sent]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [answer.get_json()["name"] for answer in answers] == ["m5", "m6"]


def test_the_same_artifact_sent_many_times_at_once_is_one_version(app: Application, tmp_path: Path) -> None:
    for seed in (7, 8):
        data = write_untrained(tmp_path / f"{seed}.gonogo", seed=seed, name=f"m{seed}").read_bytes()
        bodies = [HalfwayBody({"data": data, **OCTETS}) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            sent = [pool.submit(app.call, "POST", "/v1/models", **body.options) for body in bodies]
            try:
                assert all(body.reached.wait(30) for body in bodies)
            finally:
                for body in bodies:
                    body.go.set()
            answers = [future.result(60) for future in sent]
        assert [answer.status_code for answer in answers] == [201] * 6, [answer.text for answer in answers]
        assert len({answer.get_json()["id"] for answer in answers}) == 1
