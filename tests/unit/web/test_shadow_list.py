"""The list of shadows: pages by cursor, the newest first, of the own tenant alone."""

from shared.access import keys
from tests.harness.site import Site
from tests.unit.web.audited_shadows import candidate, stop


def test_a_walk_shows_each_shadow_once_though_one_begins_meanwhile(site: Site) -> None:
    version = candidate(site)
    made = [stop(site).get_json()["id"] for _ in range(5)]
    first = site.client.get("/v1/shadows?limit=2", headers=site.bearer).get_json()
    late = stop(site).get_json()["id"]
    seen, page = [row["id"] for row in first["data"]], first
    while page["has_more"]:
        address = f"/v1/shadows?limit=2&cursor={page['next_cursor']}"
        page = site.client.get(address, headers=site.bearer).get_json()
        seen += [row["id"] for row in page["data"]]
    assert seen == made[::-1]
    assert page["next_cursor"] is None
    newest = site.client.get("/v1/shadows?limit=1", headers=site.bearer).get_json()["data"]
    assert [(row["id"], row["candidate_id"]) for row in newest] == [(late, version)]


def test_a_cursor_of_another_list_or_tenant_is_refused(site: Site) -> None:
    for _ in range(2):
        stop(site)
    cursor = site.client.get("/v1/shadows?limit=1", headers=site.bearer).get_json()["next_cursor"]
    with site.service.database.write() as connection:
        _, secret = keys.create_key(connection, tenant="other", name="reader", scopes=["read"])
    other = {"Authorization": f"Bearer {secret}"}
    assert site.client.get("/v1/shadows", headers=other).get_json()["data"] == []
    for path, headers in (("/v1/shadows", other), ("/v1/audit", site.bearer)):
        answer = site.client.get(f"{path}?cursor={cursor}", headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_cursor"), path
