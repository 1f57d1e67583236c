"""Submissions as JSON: images as data URIs, each with its tags; the document's own example is sent."""

import base64
from typing import Any

import pytest

from tests.harness.application import Application


def uri(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def post(app: Application, asked: Any, query: str = "", **headers: Any) -> Any:
    return app.call("POST", f"/v1/batches{query}", json=asked, **headers)


def test_images_as_data_uris_become_items_with_their_tags(app: Application, images: dict[str, bytes]) -> None:
    first, second = list(images.values())[:2]
    asked = {
        "inputs": [
            {
                "data": uri(first),
                "custom_id": "c-1",
                "part_id": "SN-1",
                "view": "top",
                "metadata": {"camera": 1},
            },
            {"data": uri(second), "filename": "größe.jpg", "part_id": "SN-1"},
        ],
        "options": {"lot": "4711", "priority": "low"},
    }
    answer = post(app, asked, Idempotency_Key="as-json")
    assert answer.status_code == 202, answer.text
    batch = answer.get_json()
    assert (batch["lot"], batch["counts"]["total"], batch["parts"]["total"]) == ("4711", 2, 1)
    assert post(app, asked, Idempotency_Key="as-json").get_json()["id"] == batch["id"]
    asked["inputs"][0]["view"] = "side"  # type: ignore[index]
    assert post(app, asked, Idempotency_Key="as-json").get_json()["code"] == "idempotency_key_reused"
    app.work("low")
    shown = app.results(batch["id"])
    assert [item["status"] for item in shown] == ["succeeded"] * 2
    assert [(item["filename"], item["view"]) for item in shown] == [
        ("input-000001.jpg", "top"),
        ("größe.jpg", None),
    ]
    assert app.get(f"/v1/batches/{batch['id']}")["parts"]["total"] == 1


def test_the_example_of_the_document_is_accepted(app: Application) -> None:
    document = app.get("/openapi.json")
    content = document["paths"]["/v1/batches"]["post"]["requestBody"]["content"]
    answer = post(app, content["application/json"]["example"], "?draft=true")
    assert (answer.status_code, answer.get_json()["status"]) == (202, "draft")


GOOD = {"data": uri(b"\xff\xd8\xff")}


@pytest.mark.parametrize(
    ("asked", "status", "pointer"),
    [
        ({"inputs": []}, 400, "/inputs"),
        ({"options": {}}, 400, "/inputs"),
        ({"inputs": [{"data": "a.jpg"}]}, 400, "/inputs/0/data"),
        ({"inputs": [GOOD, {"data": "data:image/png;base64,%%%%"}]}, 400, "/inputs/1/data"),
        ({"inputs": [{**GOOD, "colour": "red"}]}, 400, "/inputs/0/colour"),
        ({"inputs": [{**GOOD, "custom_id": "a"}] * 2}, 422, "/inputs/1/custom_id"),
        ({"inputs": [GOOD], "options": {"lots": "1"}}, 400, "/options/lots"),
    ],
)
def test_a_member_that_cannot_be_used_is_named(
    app: Application, asked: Any, status: int, pointer: str
) -> None:
    answer = post(app, asked)
    assert answer.status_code == status, answer.text
    assert answer.get_json()["errors"][0]["pointer"] == pointer
