"""A rerun judges the same bytes by another version; its diff tells item by item what differs; on both databases."""

from pathlib import Path
from typing import Any

import pytest

from shared.registry import versions
from shared.registry.artifact import read_artifact
from tests.harness.application import Application
from tests.harness.artifacts import write_untrained
from tests.harness.forms import Part, image_parts

DAMAGED = b"\xff\xd8\xff not a JPEG"


@pytest.fixture
def other_model(app: Application, tmp_path: Path) -> str:
    """Another version, which calls each image a defect or none, as the first one does not."""
    made = read_artifact(write_untrained(tmp_path / "other.gonogo", seed=7))
    return versions.register(app.database, app.service.blobs, made, tenant="default")


def rerun(app: Application, batch_id: str, expect: int = 202, **asked: Any) -> dict[str, Any]:
    answer = app.call("POST", f"/v1/batches/{batch_id}/rerun", json=asked)
    assert answer.status_code == expect, answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def test_a_rerun_shares_the_bytes_and_outlives_the_first_batch(
    app: Application, images: dict[str, bytes], other_model: str
) -> None:
    files = {**dict(list(images.items())[:5]), "bad.jpg": DAMAGED}
    first = app.finished(files, {"name": "shift 1", "lot": "4711", "metadata": {"a": 1}})
    again = rerun(
        app, first["id"], model=other_model, operating_point={"threshold": 0.0, "review_band": [0.0, 0.0]}
    )
    assert (again["rerun_of"], again["lot"], again["metadata"], again["name"]) == (
        first["id"], "4711", {"a": 1}, "shift 1",
    )  # fmt: skip
    packs = [app.service.blobs.pack_path(each["id"], 0) for each in (first, again)]
    assert packs[0].samefile(packs[1]), "no byte is copied"
    assert app.call("DELETE", f"/v1/batches/{first['id']}").status_code == 204
    app.work("low")
    ended = app.get(f"/v1/batches/{again['id']}")
    assert (ended["status"], ended["counts"]["total"], ended["verdicts"]["defect"]) == ("completed", 6, 5)
    assert ended["model"]["id"] == other_model
    assert app.call("DELETE", f"/v1/batches/{again['id']}").status_code == 204
    assert not packs[1].exists()


def test_a_diff_pages_through_the_items_that_differ(
    app: Application, images: dict[str, bytes], other_model: str
) -> None:
    none = {"operating_point": {"threshold": 1.0, "review_band": [1.0, 1.0]}}
    every = {"threshold": 0.0, "review_band": [0.0, 0.0]}
    files = {**dict(list(images.items())[:5]), "bad.jpg": DAMAGED}
    first = app.finished(files, none)["id"]
    second = rerun(app, first, model=other_model, operating_point=every)["id"]
    third = rerun(app, first, model=other_model, operating_point=none["operating_point"])["id"]
    app.work("low")
    page = app.get(f"/v1/batches/{first}/diff/{second}?limit=2")
    assert page["counts"] == [
        {"before": "failed", "after": "failed", "count": 1},
        {"before": "no_defect", "after": "defect", "count": 5},
    ]
    seen = [entry["filename"] for entry in page["data"]]
    while page["has_more"]:
        page = app.get(f"/v1/batches/{first}/diff/{second}?limit=2&cursor={page['next_cursor']}")
        assert page["counts"] is None
        seen += [entry["filename"] for entry in page["data"]]
    assert seen == list(files)[:5]
    assert app.get(f"/v1/batches/{first}/diff/{third}")["data"] == []
    whole = app.get(f"/v1/batches/{second}/diff/{third}?all=true")["data"]
    assert [entry["filename"] for entry in whole] == list(files)
    assert whole[0]["before"]["item_id"] == app.get(f"/v1/batches/{second}/items?limit=1")["data"][0]["id"]


def test_a_rerun_is_refused_where_it_makes_no_sense(app: Application, images: dict[str, bytes]) -> None:
    image = next(iter(images.values()))
    running = app.submit({"a.jpg": image})["id"]
    assert rerun(app, running, 409, model=app.model_id)["code"] == "wrong_state"
    app.work()
    assert rerun(app, running, 422, model="no such model")["code"] == "unknown_model"
    assert rerun(app, running, 400)["errors"][0]["pointer"] == "/model"
    other = app.finished({"a.jpg": image})["id"]
    answer = app.call("GET", f"/v1/batches/{running}/diff/{other}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "not_comparable")


def test_parts_of_a_rerun_get_their_own_verdict(app: Application, images: dict[str, bytes]) -> None:
    manifest = "filename,part_id\na.jpg,SN-1\nb.jpg,SN-1\n"
    files = dict(zip(("a.jpg", "b.jpg"), images.values(), strict=False))
    parts: list[Part] = [("manifest", "parts.csv", manifest.encode()), *image_parts(files)]
    first = app.post_form("/v1/batches", *parts).get_json()["id"]
    app.work()
    point = {"threshold": 0.0, "review_band": [0.0, 0.0]}
    again = rerun(app, first, model=app.model_id, operating_point=point)["id"]
    app.work("low")
    assert app.get(f"/v1/batches/{again}")["parts"] == {"total": 1, "defect": 1, "no_defect": 0, "review": 0}


def test_the_items_of_a_rerun_are_queued_for_review_where_asked_for(
    app: Application, images: dict[str, bytes], other_model: str
) -> None:
    all_in_review = {"threshold": 0.5, "review_band": [0.0, 1.0]}
    some = dict(list(images.items())[:2])
    first = app.finished(some, {"line": "again", "operating_point": all_in_review})
    again = rerun(app, first["id"], model=other_model, operating_point=all_in_review)
    app.work("low")

    def taken(**wanted: str) -> set[str]:
        found = set()
        while (answer := app.call("POST", "/v1/reviews/next", json=wanted)).status_code == 200:
            found.add(answer.get_json()["item"]["batch_id"])
        return found

    assert taken(line="again") == {first["id"]}
    assert taken(batch_id=again["id"]) == {again["id"]}
