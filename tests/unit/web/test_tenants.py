"""The ids of a tenant are nothing to another: every documented path that takes one is asked."""

import io
import re
from typing import Any

import pytest

from shared.access import keys
from shared.lifecycle import shadows
from tests.harness.site import Site

pytestmark = pytest.mark.row(33)


def test_every_path_with_an_id_says_not_found_to_another_tenant(site: Site) -> None:
    batch = site.submit(["a.png"])
    item = site.client.get(f"/v1/batches/{batch['id']}/items", headers=site.bearer).get_json()["data"][0]
    key = site.client.get("/v1/api-keys", headers=site.bearer).get_json()["data"][0]
    ids = {"batch_id": batch["id"], "other_id": batch["id"], "item_id": item["id"], "key_id": key["id"]}
    asked_url = {"url": "https://receiver.example/hook"}
    hook = site.client.post("/v1/webhook-endpoints", json=asked_url, headers=site.bearer).get_json()
    ping = site.client.post(f"/v1/webhook-endpoints/{hook['id']}/test", headers=site.bearer).get_json()
    ids |= {"endpoint_id": hook["id"], "delivery_id": ping["id"]}
    with site.service.database.write() as connection:
        ids["shadow_id"] = shadows.start(connection, "plant", "mdl_a", "mdl_b", 0.5, None)[0].id
    with site.service.database.write() as connection:
        _, rival = keys.create_key(connection, tenant="rival", name="x", scopes=["admin"])
    asked = 0
    for path, methods in site.client.get("/openapi.json").get_json()["paths"].items():
        places = set(re.findall(r"{(\w+)}", path))
        if not places or "model_id" in places:  # model versions belong to all tenants
            continue
        assert places <= ids.keys(), f"this test must learn about {path}"
        for method, operation in methods.items():
            needed = [
                each for each in operation.get("parameters", []) if each["in"] == "query" and each["required"]
            ]
            body = operation.get("requestBody", {})
            example = body.get("content", {}).get("application/json", {}).get("example")
            sent: dict[str, Any] = {"json": example} if body.get("required") and example else {}
            if path.endswith("/manifest"):
                sent = {"data": b"filename", "content_type": "text/csv"}
            answer = site.client.open(
                path.format(**ids),
                method=method,
                query_string={each["name"]: each["example"] for each in needed},
                headers={"Authorization": f"Bearer {rival}"},
                **sent,
            )
            assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found"), (method, path)
            asked += 1
    assert asked >= 8
    mine = site.client.get(f"/v1/batches/{batch['id']}", headers=site.bearer)
    assert mine.get_json()["status"] == "queued"


def test_lists_hold_ones_own_alone(site: Site) -> None:
    site.submit(["a.png"])
    with site.service.database.write() as connection:
        identifier, rival = keys.create_key(connection, tenant="rival", name="x", scopes=["admin"])
    bearer = {"Authorization": f"Bearer {rival}"}
    assert site.client.get("/v1/batches", headers=bearer).get_json()["data"] == []
    shown = site.client.get("/v1/api-keys", headers=bearer).get_json()["data"]
    assert [each["id"] for each in shown] == [identifier]


def test_one_idempotency_key_of_two_tenants_makes_two_batches(site: Site) -> None:
    with site.service.database.write() as connection:
        _, rival = keys.create_key(connection, tenant="rival", name="x", scopes=["admin"])
    made = set()
    for secret in (site.key, rival):
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "same"}
        form = {"images": (io.BytesIO(b"x"), "a.png")}
        made.add(site.client.post("/v1/batches", data=form, headers=headers).get_json()["id"])
    assert len(made) == 2
