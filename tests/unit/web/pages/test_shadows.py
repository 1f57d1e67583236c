"""The page of a model version starts and stops shadows, and shows what they say."""

from sqlalchemy import Connection

from shared.access import keys
from shared.lifecycle import shadows
from tests.harness.site import ORIGIN, Site
from tests.unit.web.audited_shadows import candidate


def test_a_shadow_is_started_seen_and_stopped(site: Site) -> None:
    version, client = candidate(site), site.signed_in()
    path = f"/models/{version}"
    assert 'id="percent"' in client.get(path).text
    for wrong in ("", "ten", "-5", "101"):
        answer = client.post(f"{path}/shadow", data={"percent": wrong}, headers=ORIGIN)
        assert answer.status_code in (400, 422), wrong
    assert client.post(f"{path}/shadow", data={"percent": "25"}, headers=ORIGIN).status_code == 303
    [shadow] = site.client.get("/v1/shadows", headers=site.bearer).get_json()["data"]
    assert (shadow["candidate_id"], shadow["share"], shadow["status"]) == (version, 0.25, "running")
    batch_id = site.submit(["a.jpg", "b.jpg"])["id"]
    site.decide([("defect", 0.93, None), ("no_defect", 0.04, None)])
    with site.service.database.write() as connection:
        _keep(connection, shadow["id"], version, batch_id)
    for shown in (path, f"/models/{shadow['model_id']}"):
        page = client.get(shown).text
        assert "2 images scored" in page
        assert "not enough images: 2 scored" in page
        assert "Stop the shadow" in page
    assert client.post(f"{path}/shadow/{shadow['id']}/stop", headers=ORIGIN).status_code == 303
    assert "Stop the shadow" not in client.get(path).text


def test_a_key_that_may_only_read_starts_and_stops_none(site: Site) -> None:
    version = candidate(site)
    with site.service.database.write() as connection:
        _, secret = keys.create_key(connection, tenant="plant", name="reader", scopes=["read"])
    client = site.app.test_client()
    client.post("/v1/session", json={"key": secret})
    assert 'id="percent"' not in client.get(f"/models/{version}").text
    assert client.post(f"/models/{version}/shadow", data={"percent": "5"}, headers=ORIGIN).status_code == 403


def _keep(connection: Connection, shadow_id: str, version: str, batch_id: str) -> None:
    taken = shadows.Taken(shadow_id, version, batch_id, (), -1)
    scores = [shadows.Scored(0, "defect", 0.97), shadows.Scored(1, "defect", 0.61)]
    shadows.keep(connection, taken, scores)
