"""Drafts over HTTP: appended part by part, each part once, tagged by a manifest, finalized or deleted."""

import json
from typing import Any

import pytest
from sqlalchemy import update

from shared.store.engine import clock
from shared.store.tables import Batch
from tests.harness.application import Application
from tests.harness.forms import image_parts, options_part
from worker.upkeep.sweep import Sweep

LOW = options_part({"priority": "low", "deadline": 1000})


@pytest.fixture
def few(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(zip("abcdefgh", images.values(), strict=False))


def draft(app: Application, *parts: Any, **headers: Any) -> Any:
    answer = app.post_form("/v1/batches?draft=true", *(parts or (LOW,)), **headers)
    assert answer.status_code == 202, answer.text
    return answer.get_json()


def append(app: Application, batch_id: str, number: int, files: dict[str, bytes], *parts: Any) -> Any:
    path = f"/v1/batches/{batch_id}/items?part_number={number}"
    return app.post_form(path, *image_parts(files), *parts)


def some(files: dict[str, bytes], names: str) -> dict[str, bytes]:
    return {name: files[name] for name in names}


def test_a_part_arrives_once_however_often_it_is_sent(app: Application, few: dict[str, bytes]) -> None:
    made = draft(app, LOW, Idempotency_Key="draft-once")
    assert (made["status"], made["draft"]["part_numbers"]) == ("draft", [])
    assert draft(app, LOW, Idempotency_Key="draft-once")["id"] == made["id"]
    batch_id = made["id"]
    for _ in range(2):
        first = append(app, batch_id, 1, some(few, "ab"))
        assert (first.status_code, first.get_json()["counts"]["total"]) == (200, 2)
    assert first.headers["Idempotent-Replayed"] == "true"
    other = append(app, batch_id, 1, some(few, "ac"))
    assert (other.status_code, other.get_json()["code"]) == (422, "part_number_reused")
    for number, names in {2: "cd", 5: "e"}.items():
        last = append(app, batch_id, number, some(few, names))
    assert last.get_json()["draft"]["part_numbers"] == [[1, 2], [5, 5]]
    page = app.get(f"/v1/batches/{batch_id}/items")
    assert [item["filename"] for item in page["data"]] == list("abcde")
    assert page["draft"] == last.get_json()["draft"], (
        "a client whose connection broke sees which parts are there"
    )
    assert [batch["id"] for batch in app.get("/v1/batches?status=draft&limit=1")["data"]] == [batch_id]
    app.work("low")  # it begins while the draft is open
    assert app.get(f"/v1/batches/{batch_id}")["counts"]["succeeded"] == 5
    assert app.call("GET", f"/v1/batches/{batch_id}/results").status_code == 409
    closed = app.call("POST", f"/v1/batches/{batch_id}/finalize").get_json()
    assert (closed["status"], closed["counts"]["total"]) == ("completed", 5)
    assert "draft" not in app.get(f"/v1/batches/{batch_id}/items")
    assert app.call("POST", f"/v1/batches/{batch_id}/finalize").status_code == 200
    late = append(app, batch_id, 6, some(few, "f"))
    assert (late.status_code, late.get_json()["code"]) == (409, "wrong_state")
    assert len(app.results(batch_id)) == 5


def test_tags_come_with_a_part_or_with_a_manifest_of_the_whole_draft(
    app: Application, few: dict[str, bytes]
) -> None:
    batch_id = draft(app)["id"]
    notes = ("manifest", "m.csv", b"filename,custom_id,part_id\na,id-a,SN-1\n")
    assert append(app, batch_id, 1, some(few, "ab"), notes).status_code == 200
    twice = ("manifest", "m.csv", b"filename,custom_id,part_id\nc,id-a,SN-1\n")
    refused = append(app, batch_id, 2, some(few, "c"), twice)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "invalid_manifest")
    (entry,) = refused.get_json()["errors"]
    assert (entry["code"], entry["line"], entry["filename"]) == ("duplicate_custom_id", 2, "c")
    assert entry["pointer"] == "/manifest/0/custom_id"
    assert append(app, batch_id, 2, some(few, "c")).status_code == 200

    def put(text: bytes) -> Any:
        return app.call("PUT", f"/v1/batches/{batch_id}/manifest", data=text, content_type="text/csv")

    for text in (b"filename,custom_id,part_id\na,1,SN-1\nb,2,SN-1\n", b"filename,custom_id\na,2\nb,1\n"):
        assert put(text).status_code == 200
    wrong = put(b"filename\nz\n")
    assert (wrong.status_code, wrong.get_json()["errors"][0]["line"]) == (422, 2)
    shown = app.get(f"/v1/batches/{batch_id}/items")["data"]
    assert [(item["custom_id"], item["part_id"]) for item in shown] == [
        ("2", None),
        ("1", None),
        (None, None),
    ]
    assert put(b'{"filename":"a","part_id":"SN-9"}\n{"filename":"c","part_id":"SN-9"}').status_code == 200
    closed = app.call("POST", f"/v1/batches/{batch_id}/finalize").get_json()
    assert (closed["status"], closed["parts"]["total"]) == ("queued", 1)
    assert closed["deadline_at"] > closed["created_at"]
    assert put(b"filename\n").status_code == 409
    app.work("low")
    (part,) = app.get(f"/v1/batches/{batch_id}/parts")["data"]
    assert [view["filename"] for view in part["views"]] == ["a", "c"]


def test_a_draft_may_begin_with_images_and_be_deleted(app: Application, few: dict[str, bytes]) -> None:
    made = draft(app, LOW, *image_parts(some(few, "ab")))
    path = f"/v1/batches/{made['id']}"
    assert (made["status"], made["counts"]["total"]) == ("draft", 2)
    assert app.call("POST", f"{path}/cancel").status_code == 409
    assert app.call("DELETE", path).status_code == 204
    assert app.call("GET", path).status_code == 404
    assert not app.service.blobs.batch_folder(made["id"]).exists()


def test_a_draft_without_images_and_a_batch_that_is_none_are_not_finalized(
    app: Application, few: dict[str, bytes]
) -> None:
    for batch in (draft(app), app.submit(some(few, "a"), {"priority": "low"})):
        answer = app.call("POST", f"/v1/batches/{batch['id']}/finalize")
        assert (answer.status_code, answer.get_json()["code"]) == (409, "wrong_state")
    assert append(app, draft(app)["id"], 1, {}).status_code == 400


def test_an_abandoned_draft_expires_and_one_that_grows_does_not(
    app: Application, few: dict[str, bytes]
) -> None:
    left, grown = draft(app, LOW, *image_parts(some(few, "ab")))["id"], draft(app)["id"]
    with app.database.write() as connection:
        connection.execute(
            update(Batch).where(Batch.id.in_([left, grown])).values(upload_lease_until=clock() - 1)
        )
    assert append(app, grown, 1, some(few, "c")).status_code == 200
    sweep = Sweep(app.runtime.settings)
    try:
        sweep.run_once()
    finally:
        sweep.site.database.dispose()
    assert app.call("GET", f"/v1/batches/{left}").status_code == 404
    assert not app.service.blobs.batch_folder(left).exists()
    assert app.get(f"/v1/batches/{grown}")["status"] == "draft"


def test_a_refused_part_leaves_no_bytes(app: Application, few: dict[str, bytes]) -> None:
    batch_id = draft(app)["id"]
    wrong = ("manifest", "m.csv", b"filename\nz\n")
    assert append(app, batch_id, 1, some(few, "ab"), wrong).status_code == 422
    folder = app.service.blobs.batch_folder(batch_id)
    assert not folder.exists() or [path.name for path in folder.rglob("*.pack")] == []
    assert append(app, batch_id, 1, some(few, "ab")).status_code == 200
    left = app.service.blobs.pack_path(batch_id, 999_999)
    left.write_bytes(b"of an append whose process died")
    assert app.call("POST", f"/v1/batches/{batch_id}/finalize").status_code == 200
    assert not left.exists()
    app.work("low")
    assert {item["status"] for item in app.results(batch_id)} == {"succeeded"}


@pytest.mark.parametrize("how", [{"path": "?wait=20"}, {"Prefer": "respond-async, wait=20"}])
def test_a_submission_may_wait_for_its_end(
    app: Application, few: dict[str, bytes], how: dict[str, str]
) -> None:
    path, headers = "/v1/batches" + how.get("path", ""), {name: how[name] for name in how if name != "path"}
    refused = app.post_form(path, ("images", "a", b""), **headers)  # ends with its submission
    assert (refused.status_code, refused.get_json()["status"]) == (202, "failed")
    assert "Retry-After" not in refused.headers
    assert refused.headers.get("Preference-Applied") == ("wait=20" if headers else None)
    short = app.post_form("/v1/batches?wait=0.2", LOW, *image_parts(some(few, "a")))
    assert (short.status_code, json.loads(short.text)["status"]) == (202, "queued")
    app.work("low")
