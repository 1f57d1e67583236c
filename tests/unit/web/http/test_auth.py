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
