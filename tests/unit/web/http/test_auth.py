"""Access by key and by cookie."""

import pytest

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
