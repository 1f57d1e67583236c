"""Permissions: keys, scopes, revocation, and tenants that must not see each other."""

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import update

from shared.contract.scopes import SCOPES
from shared.store.tables import ApiKey
from tests.harness.application import Application
from tests.harness.processes import until
from tests.harness.shadows import stopped_shadow

OPEN = {"/livez", "/readyz", "/docs", "/docs/errors", "/openapi.json"}


@pytest.fixture(scope="module")
def batch(app: Application, images: dict[str, bytes]) -> dict[str, Any]:
    """A batch of the tenant `default`."""
    return app.finished(dict(list(images.items())[:2]))  # type: ignore[no-any-return]


def api_rules(app: Application) -> list[tuple[str, str]]:
    """(method, rule) of every route of the API."""
    return sorted(
        (method, rule.rule)
        for rule in app.flask.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/v1/") or rule.rule == "/predict"
    )


def test_every_path_of_the_api_asks_for_a_key(app: Application) -> None:
    asked = 0
    for method, rule in api_rules(app):
        if rule == "/v1/session":
            continue  # that is where a key is shown
        path = rule.replace("<", "").replace(">", "")
        for key in ("", "gng_no_such", "gng_000000000000_" + "0" * 64):
            response = app.call(method, path, key=key)
            assert (response.status_code, response.get_json()["code"]) == (401, "unauthorized"), rule
            assert response.headers["WWW-Authenticate"] == "Bearer"
        asked += 1
    assert asked >= 20


@pytest.mark.row(33)
def test_a_key_of_another_tenant_finds_nothing(app: Application, batch: dict[str, Any]) -> None:
    foreign = app.make_key("somebody-else", *SCOPES)
    item = app.results(batch["id"])[0]
    own_key = app.get("/v1/api-keys")["data"][0]["id"]
    known = {"<batch_id>": batch["id"], "<item_id>": item["id"], "<key_id>": own_key}
    receiver = {"url": "https://receiver.example/hook"}
    hook = app.call("POST", "/v1/webhook-endpoints", json=receiver).get_json()["id"]
    ping = app.call("POST", f"/v1/webhook-endpoints/{hook}/test").get_json()["id"]
    known |= {"<endpoint_id>": hook, "<delivery_id>": ping, "<shadow_id>": stopped_shadow(app)}
    # Else these would refuse the request before they look for its object.
    asked = {"replay": {"since": "2026-01-01T00:00:00Z"}, "review": {"verdict": "defect"}}
    bodies: dict[str, Any] = {**asked, "rescore": {"threshold": 0.5}, "rerun": {"model": "mod_0"}}
    tried = 0
    for method, rule in api_rules(app):
        name = next((name for name in known if name in rule), None)
        if name is None:
            continue
        needed = "?part_number=1" if (method, rule) == ("POST", "/v1/batches/<batch_id>/items") else ""
        given = bodies.get(rule.rpartition("/")[2]) if method == "POST" else None
        body: dict[str, Any] = {"json": given} if given else {}
        if rule.endswith("/manifest"):
            body = {"data": b"filename", "content_type": "text/csv"}
        response = app.call(method, rule.replace(name, known[name]) + needed, key=foreign, **body)
        assert response.status_code == 404, (method, rule)
        assert response.get_json()["code"] == "not_found"
        tried += 1
    assert tried >= 8
    assert app.get("/v1/batches", key=foreign)["data"] == []
    assert [key["tenant"] for key in app.get("/v1/api-keys", key=foreign)["data"]] == ["somebody-else"]
    assert app.get(f"/v1/batches/{batch['id']}") == batch


def test_what_is_foreign_looks_like_what_is_not_there(app: Application, batch: dict[str, Any]) -> None:
    foreign = app.make_key("curious", "read")
    missing = "bat_" + batch["id"][4:-1] + ("0" if batch["id"][-1] != "0" else "1")
    answers = []
    for identifier in (batch["id"], missing):
        problem = app.call("GET", f"/v1/batches/{identifier}", key=foreign, X_Request_Id="r").get_json()
        answers.append(str(problem).replace(identifier, "ID"))
    assert answers[0] == answers[1]


def test_a_key_may_do_what_its_scopes_say_and_no_more(app: Application) -> None:
    allowed = {
        "read": {"read": 200, "submit": 403, "admin": 403},
        "submit": {"read": 403, "submit": 415, "admin": 403},
        "admin": {"read": 200, "submit": 415, "admin": 200},
        "review": {"read": 403, "submit": 403, "admin": 403},
    }
    calls = {
        "read": ("GET", "/v1/batches"),
        "submit": ("POST", "/v1/batches"),
        "admin": ("GET", "/v1/api-keys"),
    }
    for scope, expected in allowed.items():
        key = app.make_key("scoped", scope)
        got = {name: app.call(*call, key=key).status_code for name, call in calls.items()}
        assert got == expected, scope


def listed(app: Application) -> dict[str, Any]:
    """The keys of the tenant, by id."""
    return {key["id"]: key for key in app.get("/v1/api-keys")["data"]}


def test_nobody_who_reads_waits_for_the_use_of_his_key_to_be_noted(app: Application) -> None:
    made = app.call("POST", "/v1/api-keys", json={"name": "line 4", "scopes": ["read"]}).get_json()
    app.service.known_keys.forget()
    with app.database.write() as connection:
        connection.execute(update(ApiKey).where(ApiKey.id == made["id"]).values(name="locked"))
        began = time.monotonic()
        for _ in range(3):
            app.service.known_keys.forget()
            app.get("/v1/batches", key=made["secret"])
        took = time.monotonic() - began
        waiting = [thread for thread in threading.enumerate() if thread.name == "key-use"]
    assert took < 5.0
    assert len(waiting) == 1, "one at a time waits for the database"
    until(lambda: listed(app)[made["id"]]["last_used_at"], 30, "its use is noted once that is possible")


def test_a_key_is_made_used_listed_without_its_secret_and_revoked(app: Application) -> None:
    made = app.call("POST", "/v1/api-keys", json={"name": "line 3", "scopes": ["read"]})
    assert made.status_code == 201
    secret, identifier = made.get_json()["secret"], made.get_json()["id"]
    assert app.call("GET", "/v1/batches", key=secret).status_code == 200
    assert "secret" not in listed(app)[identifier]
    until(lambda: listed(app)[identifier]["last_used_at"], 10, "its use is noted")
    assert secret not in app.call("GET", "/v1/api-keys").text
    assert app.call("DELETE", f"/v1/api-keys/{identifier}").status_code == 204
    assert app.call("GET", "/v1/batches", key=secret).status_code == 401
    assert app.call("DELETE", f"/v1/api-keys/{identifier}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"name": "x", "scopes": ["root"]}, "/scopes/0"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": "read"}, "/scopes"),
        ({"name": "x", "colour": "red"}, "/colour"),
        ({"name": "x", "expires_at": "2126-11-24T10:00:00"}, "/expires_at"),
        ({"name": "x", "expires_at": 1}, "/expires_at"),
        ({"name": ""}, "/name"),
        ({"name": "\0"}, "/name"),
        ({"scopes": ["read"]}, "/name"),
        ([], ""),
    ],
)
def test_a_key_that_cannot_be_is_refused_naming_the_member(
    app: Application, asked: Any, pointer: str
) -> None:
    response = app.call("POST", "/v1/api-keys", json=asked)
    assert (response.status_code, response.get_json()["code"]) == (400, "bad_request")
    assert [entry["pointer"] for entry in response.get_json()["errors"]] == [pointer]


def test_a_key_that_would_never_live_is_refused(app: Application) -> None:
    response = app.call("POST", "/v1/api-keys", json={"name": "x", "expires_at": "2020-01-01T00:00:00Z"})
    assert (response.status_code, response.get_json()["code"]) == (422, "invalid_member")
    assert [entry["pointer"] for entry in response.get_json()["errors"]] == ["/expires_at"]


def test_a_key_is_live_until_its_expires_at(app: Application) -> None:
    def made(moment: datetime) -> dict[str, Any]:
        asked = {"name": "x", "expires_at": moment.isoformat()}
        return app.call("POST", "/v1/api-keys", json=asked).get_json()  # type: ignore[no-any-return]

    in_berlin = timezone(timedelta(hours=1))
    key = made(datetime.now(in_berlin) + timedelta(hours=1))
    assert key["expires_at"] == app.get("/v1/api-keys")["data"][-1]["expires_at"] is not None
    assert app.call("GET", "/v1/batches", key=key["secret"]).status_code == 200
    key = made(datetime.now(in_berlin) + timedelta(seconds=1))
    time.sleep(1.2)
    assert app.call("GET", "/v1/batches", key=key["secret"]).status_code == 401


def test_an_operator_lists_makes_rotates_and_revokes_keys_of_any_tenant(app: Application) -> None:
    made = app.call("POST", "/v1/api-keys?tenant=plant-c", json={"name": "c", "scopes": ["read"]}).get_json()
    assert made["tenant"] == "plant-c"
    assert app.get("/v1/batches", key=made["secret"])["data"] == []
    assert [key["id"] for key in app.get("/v1/api-keys?tenant=plant-c")["data"]] == [made["id"]]
    assert {"default", "plant-c"} <= {key["tenant"] for key in app.get("/v1/api-keys?tenant=*")["data"]}
    assert app.call("DELETE", f"/v1/api-keys/{made['id']}").status_code == 404, (
        "without ?tenant=, the own one"
    )
    rotated = app.call("POST", f"/v1/api-keys/{made['id']}/rotate?tenant=plant-c").get_json()
    assert rotated["tenant"] == "plant-c"
    for identifier, tenant in ((made["id"], "plant-c"), (rotated["id"], "*")):
        assert app.call("DELETE", f"/v1/api-keys/{identifier}?tenant={tenant}").status_code == 204
    assert app.get("/v1/api-keys?tenant=plant-c")["data"] == []
    for tenant in ("*", "%20", "acme%20", ".."):
        refused = app.call("POST", f"/v1/api-keys?tenant={tenant}", json={"name": "x"})
        assert (refused.status_code, refused.get_json()["code"]) == (422, "invalid_tenant")


def test_an_admin_names_no_other_tenant_and_gains_no_operators_key(app: Application) -> None:
    admin = app.make_key("default", "admin")
    operator_id = next(key["id"] for key in app.get("/v1/api-keys")["data"] if "operator" in key["scopes"])
    for method, path in (
        ("GET", "/v1/api-keys?tenant=other"),
        ("GET", "/v1/audit?tenant=*"),
        ("POST", f"/v1/api-keys/{operator_id}/rotate"),
        ("DELETE", f"/v1/api-keys/{operator_id}"),
    ):
        answer = app.call(method, path, key=admin)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden"), (method, path)
    asked = {"name": "x", "scopes": ["operator"]}
    assert app.call("POST", "/v1/api-keys", json=asked, key=admin).status_code == 403
    assert app.get("/v1/api-keys")["data"], "the operator's key still lives"


def test_a_rotated_key_gives_way_after_its_grace(app: Application) -> None:
    ends = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    old = app.call(
        "POST", "/v1/api-keys", json={"name": "r", "scopes": ["read"], "expires_at": ends}
    ).get_json()
    path = f"/v1/api-keys/{old['id']}/rotate"
    new = app.call("POST", path, json={"grace": 1}).get_json()
    assert (new["name"], new["scopes"], new["replaced_by"]) == ("r", ["read"], None)
    assert new["expires_at"] >= old["expires_at"], "it lives as long from now as the old one from its making"
    assert listed(app)[old["id"]]["replaced_by"] == new["id"]
    for secret in (old["secret"], new["secret"]):
        assert app.call("GET", "/v1/batches", key=secret).status_code == 200
    again = app.call("POST", path)
    assert (again.status_code, again.get_json()["code"]) == (409, "wrong_state")
    time.sleep(1.2)
    assert app.call("GET", "/v1/batches", key=old["secret"]).status_code == 401
    assert app.call("GET", "/v1/batches", key=new["secret"]).status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "pointer"),
    [
        ({"grace": -1}, 400, "/grace"),
        ({"grace": 10**9}, 400, "/grace"),
        ({"grace": "1d"}, 400, "/grace"),
        ({"graces": 1}, 400, "/graces"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "/expires_at"),
    ],
)
def test_a_rotation_that_cannot_be_is_refused_and_changes_nothing(
    app: Application, asked: dict[str, Any], status: int, pointer: str
) -> None:
    key = app.call("POST", "/v1/api-keys", json={"name": "r"}).get_json()
    answer = app.call("POST", f"/v1/api-keys/{key['id']}/rotate", json=asked)
    assert answer.status_code == status
    assert [entry["pointer"] for entry in answer.get_json()["errors"]] == [pointer]
    assert listed(app)[key["id"]]["replaced_by"] is None


def test_the_audit_trail_is_filtered_paged_and_kept_apart_by_tenant(app: Application) -> None:
    admin = app.make_key("audited", "admin")
    made = [
        app.call("POST", "/v1/api-keys", json={"name": f"k{number}"}, key=admin).get_json()["id"]
        for number in range(5)
    ]
    app.call("DELETE", f"/v1/api-keys/{made[2]}", key=admin)
    whole = app.get("/v1/audit", key=admin)["data"]
    assert [entry["action"] for entry in whole] == ["key.revoke", *["key.create"] * 5]
    assert [entry["object_id"] for entry in whole[1:]] == made[::-1]
    assert {entry["tenant"] for entry in whole} == {"audited"}

    def ids(query: str, **options: Any) -> list[str]:
        return [entry["id"] for entry in app.get(f"/v1/audit?{query}", **options)["data"]]

    assert ids("action=key.revoke", key=admin) == [whole[0]["id"]]
    assert ids(f"object_id={made[2]}", key=admin) == [whole[0]["id"], whole[3]["id"]]
    assert ids(f"key_id={whole[0]['key_id']}", key=admin) == [entry["id"] for entry in whole]
    assert ids("key_id=key_other", key=admin) == []
    newest = max(entry["created_at"] for entry in whole)
    assert ids(f"created_after={newest}", key=admin) == []
    assert ids(f"created_before={whole[-1]['created_at']}", key=admin) == []
    assert (
        len(ids(f"created_before=2126-01-01T00:00:00Z&created_after={whole[-1]['created_at']}", key=admin))
        >= 1
    )
    paged, query = [], "limit=4"
    while query:
        page = app.get(f"/v1/audit?{query}", key=admin)
        paged += page["data"]
        query = f"limit=4&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert paged == whole
    assert ids("tenant=audited") == [entry["id"] for entry in whole]
    app.call("POST", "/v1/api-keys", json={"name": "of the default tenant"})
    assert {"audited", "default"} <= {
        entry["tenant"] for entry in app.get("/v1/audit?tenant=*&limit=1000")["data"]
    }
    for bad in ("action=key.steal", "colour=red", "created_after=yesterday", "limit=0"):
        assert app.call("GET", f"/v1/audit?{bad}", key=admin).status_code == 400
    for scope in ("read", "submit", "review", "metrics"):
        assert app.call("GET", "/v1/audit", key=app.make_key("audited", scope)).status_code == 403


def test_the_database_holds_no_secret(app: Application) -> None:
    secret = app.make_key("default", "read")
    with app.database.read() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM api_keys").all())
    assert secret not in rows
    assert secret.rsplit("_", 1)[1] not in rows


def test_probes_and_documents_need_no_key(app: Application) -> None:
    for path in OPEN - {"/readyz"}:
        assert app.call("GET", path, key="").status_code == 200, path
    assert app.call("GET", "/readyz", key="").status_code in {200, 503}


def test_a_page_may_act_with_its_cookie_and_a_foreign_page_may_not(app: Application) -> None:
    browser = app.flask.test_client()
    here = "http://localhost"
    assert browser.post("/v1/session", json={"key": "gng_wrong"}, headers={"Origin": here}).status_code == 401
    assert browser.get("/v1/batches").status_code == 401
    began = browser.post("/v1/session", json={"key": app.key}, headers={"Origin": here})
    assert began.status_code == 200
    cookie = began.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert app.key not in cookie
    assert browser.get("/v1/batches").status_code == 200
    made = browser.post("/v1/api-keys", json={"name": "x"}, headers={"Origin": here})
    assert made.status_code == 201
    for origin in ({"Origin": "http://evil.example"}, {}):
        refused = browser.post("/v1/api-keys", json={"name": "x"}, headers=origin)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "foreign_origin")
    browser.delete("/v1/session", headers={"Origin": here})
    assert browser.get("/v1/batches").status_code == 401


def test_a_session_ends_with_its_key(app: Application) -> None:
    secret = app.make_key("default", "read")
    browser = app.flask.test_client()
    browser.post("/v1/session", json={"key": secret}, headers={"Origin": "http://localhost"})
    assert browser.get("/v1/batches").status_code == 200
    with app.database.write() as connection:
        connection.exec_driver_sql(
            f"UPDATE api_keys SET revoked_at = 1 WHERE prefix = '{secret.split('_')[1]}'"
        )
    app.service.known_keys.forget()  # another process remembers a key for a few seconds; this one was told
    assert browser.get("/v1/batches").status_code == 401
