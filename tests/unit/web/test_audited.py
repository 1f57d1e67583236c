"""Every change over HTTP leaves an entry in the audit trail, which names the caller, the address and the request."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update
from werkzeug.test import TestResponse

from shared.access import audit_chain
from shared.contract.audit import ACTIONS
from shared.contract.scopes import SCOPES
from shared.store.tables import ApiKey
from tests.harness.site import ORIGIN, Site
from tests.unit.web import audited_reviews as reviews
from tests.unit.web import audited_shadows as shadows
from tests.unit.web.audited_reviews import NAMED, send


def models(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.client.get("/v1/models", headers=site.bearer).get_json()["data"]
    return found


def new_key(site: Site) -> str:
    return str(site.client.post("/v1/api-keys", json={"name": "x"}, headers=site.bearer).get_json()["id"])


def submit(site: Site) -> TestResponse:
    return send(site, "/v1/batches", data={"images": (io.BytesIO(b"x"), "a.png")})


def steer(verb: str, *before: str) -> Callable[[Site], TestResponse]:
    """A call that steers a batch, after other ones."""

    def call(site: Site) -> TestResponse:
        this = f"/v1/batches/{site.submit(['a.png'])['id']}"
        if verb == "retry":
            site.decide([(None, None, "inference_failed")])
        for step in before:
            assert site.client.post(f"{this}/{step}", headers=site.bearer).status_code == 200
        return send(site, f"{this}/{verb}")

    return call


def pause_on_the_page(site: Site) -> TestResponse:
    batch, browser = site.submit(["a.png"]), site.signed_in()
    return browser.post(f"/batches/{batch['id']}/pause", headers={**ORIGIN, **NAMED})


def cancel(site: Site) -> TestResponse:
    return send(site, f"/v1/batches/{site.submit(['a.png'])['id']}/cancel")


def cancel_on_the_page(site: Site) -> TestResponse:
    batch, browser = site.submit(["a.png"]), site.signed_in()
    return browser.post(f"/batches/{batch['id']}/cancel", headers={**ORIGIN, **NAMED})


def ended(site: Site) -> str:
    batch = site.submit(["a.png"])
    site.decide([("defect", 0.9, None)])
    return str(batch["id"])


def delete(site: Site) -> TestResponse:
    return send(site, f"/v1/batches/{ended(site)}", method="DELETE")


def judged_again(step: str, **asked: Any) -> Callable[[Site], TestResponse]:
    return lambda site: send(site, f"/v1/batches/{ended(site)}/{step}", json=asked)


def rerun_on_the_page(site: Site) -> TestResponse:
    batch = site.submit(["a.png"])
    site.decide([("defect", 0.9, None)])
    path = f"/batches/{batch['id']}/rerun"
    return site.signed_in().post(path, data={"model": "bolts"}, headers={**ORIGIN, **NAMED})


def rescore_on_the_page(site: Site) -> TestResponse:
    form, path = {"low": "0.1", "threshold": "0.2", "high": "0.3"}, f"/batches/{ended(site)}/rescore"
    return site.signed_in().post(path, data=form, headers={**ORIGIN, **NAMED})


def draft(site: Site) -> str:
    """The path of a draft with an image, `a.png`."""
    form = {"images": (io.BytesIO(b"x"), "a.png")}
    made = site.client.post("/v1/batches?draft=true", data=form, headers=site.bearer)
    return f"/v1/batches/{made.get_json()['id']}"


def append(site: Site) -> TestResponse:
    return send(site, f"{draft(site)}/items?part_number=1", data={"images": (io.BytesIO(b"y"), "b.png")})


def tag(site: Site) -> TestResponse:
    text = "filename,part_id\na.png,p1\n"
    return send(site, f"{draft(site)}/manifest", method="PUT", data=text, content_type="text/csv")


def finalize(site: Site) -> TestResponse:
    return send(site, f"{draft(site)}/finalize")


def predict(site: Site) -> TestResponse:
    """No worker answers, so the wait is cut short."""
    here = site.service
    site.app.extensions["gonogo"] = replace(here, settings=replace(here.settings, predict_wait_s=0.01))
    answer = send(site, "/v1/predict", data=b"x", content_type="image/png")
    assert answer.status_code == 503
    return answer


def upload(site: Site) -> TestResponse:
    path = site.service.blobs.artifact_path(models(site)[0]["sha256"])
    media_type = "application/octet-stream"
    return send(site, "/v1/models?without_guard=true", data=path.read_bytes(), content_type=media_type)


def activate(site: Site) -> TestResponse:
    return send(site, f"/v1/models/{models(site)[0]['id']}/activate")


def activate_on_the_page(site: Site) -> TestResponse:
    path, client = f"/models/{models(site)[0]['id']}/activate", site.signed_in()
    return client.post(path, headers={**ORIGIN, **NAMED})


def roll_back(site: Site) -> TestResponse:
    first, second = models(site)[0]["id"], upload(site).get_json()["id"]
    with site.service.database.write() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET status = 'ready'")
    assert send(site, f"/v1/models/{second}/activate").status_code == 200
    return send(site, f"/v1/models/{first}/rollback")


def create_key(site: Site) -> TestResponse:
    return send(site, "/v1/api-keys", json={"name": "line 3"})


def rotate_key(site: Site) -> TestResponse:
    return send(site, f"/v1/api-keys/{new_key(site)}/rotate")


def revoke_key(site: Site) -> TestResponse:
    return send(site, f"/v1/api-keys/{new_key(site)}", method="DELETE")


def set_quotas(site: Site) -> TestResponse:
    """By an operator alone, which the site's key becomes."""
    with site.service.database.write() as connection:
        connection.execute(update(ApiKey).values(scopes=list(SCOPES)))
    site.service.known_keys.forget()
    return send(site, "/v1/quotas", method="PATCH", json={"stored_items": 5})


def new_endpoint(site: Site) -> str:
    """The path of a webhook endpoint; nothing is sent to it, since no worker runs."""
    asked = {"url": "https://receiver.example/hook"}
    made = site.client.post("/v1/webhook-endpoints", json=asked, headers=site.bearer)
    return f"/v1/webhook-endpoints/{made.get_json()['id']}"


def create_webhook(site: Site) -> TestResponse:
    return send(site, "/v1/webhook-endpoints", json={"url": "https://receiver.example/hook"})


def on_webhook(verb: str = "", method: str = "POST", **given: Any) -> Callable[[Site], TestResponse]:
    return lambda site: send(site, new_endpoint(site) + verb, method=method, **given)


def redeliver(site: Site) -> TestResponse:
    sent = site.client.post(f"{new_endpoint(site)}/test", headers=site.bearer).get_json()
    with site.service.database.write() as connection:
        connection.exec_driver_sql("UPDATE webhook_deliveries SET status = 'exhausted'")
    return send(site, f"/v1/webhook-deliveries/{sent['id']}/redeliver")


def sign_in(site: Site) -> TestResponse:
    return site.client.post("/v1/session", json={"key": site.key}, headers=NAMED)


def sign_in_on_the_page(site: Site) -> TestResponse:
    return site.client.post("/sign-in", data={"key": site.key}, headers={**ORIGIN, **NAMED})


def sign_out(site: Site) -> TestResponse:
    return site.signed_in().delete("/v1/session", headers={**ORIGIN, **NAMED})


def sign_out_on_the_page(site: Site) -> TestResponse:
    return site.signed_in().post("/sign-out", headers={**ORIGIN, **NAMED})


# Each route that changes something: the action of its entry, and a call that succeeds.
CALLS: dict[str, tuple[str, Callable[[Site], TestResponse]]] = {
    "POST /v1/batches": ("batch.submit", submit),
    "POST /v1/predict": ("batch.submit", predict),
    "POST /v1/batches/<batch_id>/items": ("batch.append", append),
    "PUT /v1/batches/<batch_id>/manifest": ("batch.tag", tag),
    "POST /v1/batches/<batch_id>/finalize": ("batch.finalize", finalize),
    "POST /v1/batches/<batch_id>/cancel": ("batch.cancel", cancel),
    "POST /batches/<batch_id>/cancel": ("batch.cancel", cancel_on_the_page),
    "POST /v1/batches/<batch_id>/pause": ("batch.pause", steer("pause")),
    "POST /v1/batches/<batch_id>/resume": ("batch.resume", steer("resume", "pause")),
    "POST /v1/batches/<batch_id>/rescore": ("batch.rescore", judged_again("rescore", threshold=0.55)),
    "POST /batches/<batch_id>/rescore": ("batch.rescore", rescore_on_the_page),
    "POST /v1/batches/<batch_id>/rerun": ("batch.rerun", judged_again("rerun", model="bolts")),
    "POST /batches/<batch_id>/rerun": ("batch.rerun", rerun_on_the_page),
    "POST /v1/batches/<batch_id>/retry": ("batch.retry", steer("retry")),
    "POST /batches/<batch_id>/<any(pause, resume, retry):step>": ("batch.pause", pause_on_the_page),
    "DELETE /v1/batches/<batch_id>": ("batch.delete", delete),
    "POST /v1/reviews/next": ("review.claim", reviews.take_review),
    "POST /v1/items/<item_id>/skip": ("review.skip", reviews.skip_review),
    "POST /v1/items/<item_id>/review": ("review.give", reviews.give_review),
    "DELETE /v1/items/<item_id>/review": ("review.take_back", reviews.take_review_back),
    "POST /review": ("review.claim", reviews.on_the_review_page("next")),
    "POST /review/<item_id>": ("review.give", reviews.on_the_review_page("give")),
    "POST /review/<item_id>/skip": (
        "review.claim",
        reviews.on_the_review_page("skip"),
    ),  # the next one, after it
    "POST /review/<item_id>/undo": ("review.take_back", reviews.on_the_review_page("undo")),
    "POST /v1/models": ("model.upload", upload),
    "POST /v1/models/<model_id>/activate": ("model.activate", activate),
    "POST /models/<model_id>/<any(activate, rollback):switch>": ("model.activate", activate_on_the_page),
    "POST /v1/models/<model_id>/rollback": ("model.rollback", roll_back),
    **shadows.CALLS,
    "POST /v1/api-keys": ("key.create", create_key),
    "POST /v1/api-keys/<key_id>/rotate": ("key.rotate", rotate_key),
    "DELETE /v1/api-keys/<key_id>": ("key.revoke", revoke_key),
    "PATCH /v1/quotas": ("quota.set", set_quotas),
    "POST /v1/webhook-endpoints": ("webhook.create", create_webhook),
    "PATCH /v1/webhook-endpoints/<endpoint_id>": (
        "webhook.change",
        on_webhook(method="PATCH", json={"enabled": False}),
    ),
    "DELETE /v1/webhook-endpoints/<endpoint_id>": ("webhook.delete", on_webhook(method="DELETE")),
    "POST /v1/webhook-endpoints/<endpoint_id>/rotate-secret": (
        "webhook.rotate",
        on_webhook("/rotate-secret", json={}),
    ),
    "POST /v1/webhook-endpoints/<endpoint_id>/test": ("webhook.test", on_webhook("/test")),
    "POST /v1/webhook-endpoints/<endpoint_id>/replay": (
        "webhook.replay",
        on_webhook("/replay", json={"since": "2026-01-01T00:00:00Z"}),
    ),
    "POST /v1/webhook-deliveries/<delivery_id>/redeliver": ("webhook.redeliver", redeliver),
    "POST /v1/session": ("session.begin", sign_in),
    "POST /sign-in": ("session.begin", sign_in_on_the_page),
    "DELETE /v1/session": ("session.end", sign_out),
    "POST /sign-out": ("session.end", sign_out_on_the_page),
}
ALIASES = {"POST /predict"}  # of POST /v1/predict: the same view


PREFIXES: dict[str, str | tuple[str, ...]] = {
    "batch": "bat_", "model": "mdl_", "key": "key_", "quota": "plant", "review": "itm_", "session": "ses_",
    "shadow": "shd_", "webhook": ("whe_", "whd_"),
}  # fmt: skip


def trail(site: Site, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.client.get(f"/v1/audit{query}", headers=site.bearer).get_json()["data"]
    return found


def test_every_route_that_changes_something_is_tried_here(site: Site) -> None:
    changing = {
        f"{method} {rule.rule}"
        for rule in site.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert changing - ALIASES == set(CALLS), "a route that changes something must leave an audit entry"
    of_the_service = {"session.refuse", "audit.prune", "webhook.disable"}
    assert {action for action, _ in CALLS.values()} | of_the_service == set(ACTIONS)


@pytest.mark.parametrize("route", CALLS)
def test_a_change_leaves_one_entry_that_names_the_caller(site: Site, route: str) -> None:
    action, call = CALLS[route]
    answer = call(site)
    assert answer.status_code < 400 or route == "POST /v1/predict", answer.text
    (entry,) = [entry for entry in trail(site) if entry["request_id"] == "the-request"][:1]
    own = site.client.get("/v1/api-keys", headers=site.bearer).get_json()["data"][0]["id"]
    assert (entry["action"], entry["tenant"], entry["key_id"]) == (action, "plant", own)
    assert entry["address"] == "127.0.0.1"
    assert entry["object_id"].startswith(PREFIXES[action.partition(".")[0]])
    with site.service.database.read() as connection:
        assert list(audit_chain.verify(connection)) == []


def test_a_call_that_changes_nothing_leaves_none(site: Site) -> None:
    missing = "bat_" + "0" * 26
    for method, path in (("POST", f"/v1/batches/{missing}/cancel"), ("DELETE", f"/v1/batches/{missing}")):
        assert send(site, path, method=method).status_code == 404
    batch = site.submit(["a.png"])
    site.decide([("defect", 0.9, None)])
    assert send(site, f"/v1/batches/{batch['id']}/cancel").status_code == 409
    assert send(site, "/v1/batches", data={}).status_code == 415
    assert [entry["action"] for entry in trail(site)] == ["batch.submit"]


def test_a_refused_key_is_noted_once_a_minute_for_an_address_without_its_secret(site: Site) -> None:
    wrong = "gng_0123456789ab_" + "f" * 64
    for _ in range(3):
        assert site.client.get("/v1/batches", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
        assert site.client.post("/v1/session", json={"key": wrong}).status_code == 401
    with site.service.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM audit_entries WHERE action = 'session.refuse'").all()
    assert len(rows) == 1
    assert "0123456789ab" in str(rows)
    assert "f" * 64 not in str(rows)
    assert rows[0].tenant == "*", "a tenant does not see who tries keys of no tenant"
    assert trail(site, "?action=session.refuse") == []


def test_a_dead_keys_use_shows_in_its_own_tenant(site: Site) -> None:
    made = site.client.post("/v1/api-keys", json={"name": "x"}, headers=site.bearer).get_json()
    site.client.delete(f"/v1/api-keys/{made['id']}", headers=site.bearer)
    site.client.get("/v1/batches", headers={"Authorization": f"Bearer {made['secret']}"})
    (entry,) = trail(site, "?action=session.refuse")
    assert (entry["object_id"], entry["key_id"]) == (made["id"], None)
    assert entry["detail"] == {"prefix": made["prefix"], "times": 1}


def test_many_refused_keys_leave_a_bounded_number_of_entries(site: Site) -> None:
    for number in range(80):
        wrong = f"gng_{number:012x}_" + "f" * 64
        site.client.get("/v1/batches", headers={"Authorization": f"Bearer {wrong}"})
    with site.service.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit_entries").scalar() == 60
