"""Access by key and by cookie."""

import time

import pytest
from werkzeug.test import TestResponse

from shared.access import keys
from tests.harness.site import ORIGIN, Site


def test_a_keys_id_never_passes_for_its_secret(site: Site) -> None:
    browser = site.signed_in()
    assert browser.get("/v1/batches").status_code == 200
    identifier = site.client.get("/v1/api-keys", headers=site.bearer).get_json()["data"][0]["id"]
    answer = site.client.get("/v1/batches", headers={"Authorization": f"Bearer {identifier}"})
    assert answer.status_code == 401


def test_a_secret_with_one_wrong_digit_is_refused(site: Site) -> None:
    wrong = site.key[:-1] + ("0" if site.key[-1] != "0" else "1")
    assert site.client.get("/v1/batches", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401


def test_a_revoked_key_is_out_at_once_by_key_and_by_cookie(site: Site) -> None:
    made = site.client.post(
        "/v1/api-keys", json={"name": "x", "scopes": ["read"]}, headers=site.bearer
    ).get_json()
    bearer = {"Authorization": f"Bearer {made['secret']}"}
    browser = site.app.test_client()
    browser.post("/v1/session", json={"key": made["secret"]})
    assert site.client.get("/v1/batches", headers=bearer).status_code == 200
    assert browser.get("/").status_code == 200
    assert site.client.delete(f"/v1/api-keys/{made['id']}", headers=site.bearer).status_code == 204
    assert site.client.get("/v1/batches", headers=bearer).status_code == 401
    assert browser.get("/").status_code == 303


def test_an_expired_key_is_out(site: Site) -> None:
    with site.service.database.write() as connection:
        _, old = keys.create_key(connection, tenant="plant", name="old", scopes=["read"], expires_at=1.0)
    assert site.client.get("/v1/batches", headers={"Authorization": f"Bearer {old}"}).status_code == 401


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://localhost.evil.example"])
def test_a_cookie_writes_for_pages_of_this_service_alone(site: Site, origin: str | None) -> None:
    browser, headers = site.signed_in(), {"Origin": origin} if origin else {}
    answer = browser.post("/v1/api-keys", json={"name": "x"}, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (403, "foreign_origin")
    assert browser.post("/v1/api-keys", json={"name": "x"}, headers=ORIGIN).status_code == 201


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": "http://127.0.0.1:8081"}, False),
        ({"Origin": "http://127.0.0.1:8081", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://127.0.0.1:8081", "Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
    ],
)
def test_behind_a_proxy_that_hides_the_host_the_browser_tells_our_own_pages(
    site: Site, headers: dict[str, str], allowed: bool
) -> None:
    answer = site.signed_in().post("/v1/api-keys", json={"name": "x"}, headers=headers)
    assert answer.status_code == (201 if allowed else 403)
    if not allowed:
        assert "GONOGO_PUBLIC_URL" in answer.get_json()["detail"]


def test_the_host_that_the_request_named_counts_too_after_a_proxy_has_told_another(site: Site) -> None:
    told = {"gonogo.host_sent": "10.0.0.7:8000"}
    browser = site.signed_in()
    for origin, status in (("http://10.0.0.7:8000", 201), ("http://10.0.0.8:8000", 403), ("null", 403)):
        answer = browser.post(
            "/v1/api-keys", json={"name": "x"}, headers={"Origin": origin}, environ_overrides=told
        )
        assert answer.status_code == status, origin


SECURE = {"base_url": "https://localhost", "headers": {"Origin": "https://localhost"}}


def cookie_of(answer: TestResponse) -> tuple[str, str]:
    """Name and value of the cookie that an answer sets."""
    name, _, value = answer.headers["Set-Cookie"].partition(";")[0].partition("=")
    return name, value


@pytest.mark.parametrize("out", ["POST /sign-out", "DELETE /v1/session"])
def test_a_copied_cookie_is_dead_after_signing_out(site: Site, out: str) -> None:
    browser, thief = site.app.test_client(), site.app.test_client()
    name, value = cookie_of(browser.post("/v1/session", json={"key": site.key}))
    thief.set_cookie(name, value)
    assert thief.get("/v1/batches").status_code == 200
    method, _, path = out.partition(" ")
    ended = browser.open(path, method=method, headers=ORIGIN)
    assert cookie_of(ended) == (name, "")
    assert thief.get("/v1/batches").status_code == 401
    assert thief.get("/").status_code == 303


def test_a_new_sign_in_ends_the_browsers_former_session(site: Site) -> None:
    browser, copy = site.app.test_client(), site.app.test_client()
    copy.set_cookie(*cookie_of(browser.post("/v1/session", json={"key": site.key})))
    browser.post("/v1/session", json={"key": site.key})
    assert copy.get("/v1/batches").status_code == 401
    assert browser.get("/v1/batches").status_code == 200


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_a_foreign_page_does_not_end_the_session(site: Site, origin: str | None) -> None:
    browser, headers = site.signed_in(), {"Origin": origin} if origin else {}
    assert browser.delete("/v1/session", headers=headers).status_code == 403
    assert browser.get("/v1/batches").status_code == 200


def test_under_tls_the_cookie_is_secure_and_of_this_host_alone(site: Site) -> None:
    browser = site.app.test_client()
    plain = browser.post("/v1/session", json={"key": site.key})
    assert cookie_of(plain)[0] == "gonogo"
    assert "Secure" not in plain.headers["Set-Cookie"]
    under_tls = browser.post("/v1/session", json={"key": site.key}, **SECURE)
    assert cookie_of(under_tls)[0] == "__Host-gonogo"
    attributes = set(under_tls.headers["Set-Cookie"].split("; ")[1:])
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= attributes
    assert not any(attribute.startswith("Domain") for attribute in attributes)
    assert browser.get("/v1/batches", **SECURE).status_code == 200
    taken = browser.delete("/v1/session", **SECURE).headers["Set-Cookie"]
    assert "Secure" in taken, "a browser drops a __Host- cookie only by one with the same attributes"


def test_under_tls_a_cookie_without_the_prefix_is_not_read(site: Site) -> None:
    browser = site.app.test_client()
    _, value = cookie_of(browser.post("/v1/session", json={"key": site.key}))
    planted = site.app.test_client()
    planted.set_cookie("gonogo", value)
    assert planted.get("/v1/batches", **SECURE).status_code == 401


def test_a_session_ends_by_its_own_time(site: Site) -> None:
    browser = site.signed_in()
    with site.service.database.write() as connection:
        connection.exec_driver_sql("UPDATE sessions SET expires_at = 1")
    assert browser.get("/v1/batches").status_code == 401


def test_a_key_rotated_at_once_takes_its_sessions_along_and_one_with_grace_does_not(site: Site) -> None:
    for grace, status in ((60, 200), (0, 401)):
        made = site.client.post("/v1/api-keys", json={"name": "x"}, headers=site.bearer).get_json()
        browser = site.app.test_client()
        browser.post("/v1/session", json={"key": made["secret"]})
        rotated = site.client.post(
            f"/v1/api-keys/{made['id']}/rotate", json={"grace": grace}, headers=site.bearer
        )
        assert rotated.status_code == 201
        assert browser.get("/v1/batches").status_code == status


def test_a_remembered_key_is_refused_from_its_expiry_on(site: Site) -> None:
    with site.service.database.write() as connection:
        ends_at = time.time() + 1.0
        _, brief = keys.create_key(connection, tenant="plant", name="b", scopes=["read"], expires_at=ends_at)
    bearer = {"Authorization": f"Bearer {brief}"}
    assert site.client.get("/v1/batches", headers=bearer).status_code == 200
    time.sleep(max(0.0, ends_at - time.time()) + 0.01)
    assert site.client.get("/v1/batches", headers=bearer).status_code == 401


def test_nothing_in_the_database_forges_a_key_or_a_session(site: Site) -> None:
    browser = site.app.test_client()
    _, token = cookie_of(browser.post("/v1/session", json={"key": site.key}))
    with site.service.database.read() as connection:
        tables = list(
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
        )
        cells = [
            str(cell)
            for table in tables
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
            for cell in row
        ]
    assert len(cells) > 50
    assert not [cell for cell in cells if token in cell or site.key.rpartition("_")[2] in cell]
    for cell in {cell for cell in cells if cell.isprintable() and len(cell) < 200}:
        forger = site.app.test_client()
        forger.set_cookie("gonogo", cell)
        assert forger.get("/v1/batches").status_code == 401, cell


def test_a_forged_cookie_is_nobody(site: Site) -> None:
    browser = site.app.test_client()
    browser.set_cookie("gonogo", "eyJrZXlfaWQiOiJrZXlfMSJ9.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb")
    assert browser.get("/v1/batches").status_code == 401


def test_what_was_remembered_does_not_outlive_the_process_forgetting_it(site: Site) -> None:
    site.client.get("/v1/batches", headers=site.bearer)
    site.service.known_keys.forget()
    with site.service.database.write() as connection:
        connection.exec_driver_sql("UPDATE api_keys SET revoked_at = 1")
    assert site.client.get("/v1/batches", headers=site.bearer).status_code == 401
