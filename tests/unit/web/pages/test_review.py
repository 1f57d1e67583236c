"""The page of reviews as a browser gets it, script or no script."""

import re
from typing import Any

from flask.testing import FlaskClient

from shared.access import keys
from tests.harness.site import ORIGIN, Site


def band(site: Site, number: int = 3, **options: Any) -> list[str]:
    """Items in review; returns their ids."""
    batch = site.submit([f"{place}.png" for place in range(number)], **options)
    site.decide([("review", 0.5, None)] * number)
    listed = site.client.get(f"/v1/batches/{batch['id']}/items", headers=site.bearer).get_json()
    return [item["id"] for item in listed["data"]]


def post(client: FlaskClient, path: str, **form: Any) -> str:
    """Send a form as the page does; returns where the answer leads."""
    answer = client.post(path, data=form, headers=ORIGIN)
    assert answer.status_code == 303, answer.text
    return str(answer.location)


def review_of(site: Site, item_id: str) -> Any:
    return site.client.get(f"/v1/items/{item_id}", headers=site.bearer).get_json()["review"]


def test_a_person_works_through_the_queue_by_forms_and_takes_one_back(site: Site) -> None:
    items, browser = band(site), site.signed_in()
    assert "Begin" in browser.get("/review").text
    place = post(browser, "/review")
    assert place == f"/review/{items[0]}"
    page = browser.get(place).text
    assert re.findall(r'data-key="(.)"', page) == ["d", "n", " "]
    assert "2 more wait" in page
    assert post(browser, "/review") == place, "a browser gets the item again that it has"
    place = post(browser, place, verdict="defect", note=" a crack ")
    assert place == f"/review/{items[1]}?last={items[0]}"
    assert (review_of(site, items[0])["verdict"], review_of(site, items[0])["note"]) == ("defect", "a crack")
    page = browser.get(place).text
    assert f'action="/review/{items[0]}/undo"' in page
    assert post(browser, f"/review/{items[0]}/undo") == f"/review/{items[0]}"
    assert review_of(site, items[0]) is None
    place = post(browser, f"/review/{items[0]}", verdict="no_defect")
    assert place.startswith(f"/review/{items[1]}")
    place = post(browser, f"/review/{items[1]}/skip", last=items[0])
    assert place == f"/review/{items[2]}?last={items[0]}"
    assert post(browser, f"/review/{items[2]}", verdict="defect").startswith(f"/review/{items[1]}")
    end = post(browser, f"/review/{items[1]}", verdict="defect")
    assert end == f"/review?empty=1&last={items[1]}"
    page = browser.get(end).text
    assert "Nothing waits for a review" in page
    assert page.count("/items/itm_") == 3
    assert f'action="/review/{items[1]}/undo"' in page


def test_verdicts_are_taken_back_one_after_the_other(site: Site) -> None:
    items, browser = band(site, 4), site.signed_in()
    place, judged = post(browser, "/review"), list[str]()
    for _ in range(3):
        page = browser.get(place).text
        judged.append(place.split("/review/")[1].partition("?")[0])
        place = post(browser, f"/review/{judged[-1]}", verdict="defect", last=field(page, "judge"))
    assert judged == items[:3]
    for number in (3, 2, 1):
        page = browser.get(place).text
        action = re.search(r'action="(/review/[^"]+/undo)" id="undo"', page)
        assert action and action[1] == f"/review/{judged[number - 1]}/undo"
        assert (f"one of {number}" in page) == (number > 1)
        place = post(browser, action[1], last=field(page, "undo"))
        assert place.startswith(f"/review/{judged[number - 1]}")
        assert review_of(site, judged[number - 1]) is None
    assert 'data-key="u"' not in browser.get(place).text


def field(page: str, form: str) -> str:
    """The history that a form of the page sends."""
    own = page.partition(f'id="{form}"')[2].partition("</form>")[0]
    kept = re.search(r'name="last" value="([^"]*)"', own)
    return kept[1] if kept else ""


def test_the_start_shows_what_reviews_tell(site: Site) -> None:
    items, browser = band(site, 2, line="A<3>"), site.signed_in()
    assert "What reviews tell" not in browser.get("/review").text
    post(browser, "/review")
    post(browser, f"/review/{items[0]}", verdict="defect")
    page = browser.get("/review").text
    assert "What reviews tell" in page
    assert "A&lt;3&gt;" in page
    assert "(0.0 to 0.0)" in page  # of the defects, none can have passed: nothing has


def test_two_browsers_get_two_items(site: Site) -> None:
    band(site)
    places = {post(site.signed_in(), "/review") for _ in range(3)}
    assert len(places) == 3
    assert post(site.signed_in(), "/review") == "/review?empty=1"


def test_an_item_that_another_person_has_shows_no_verdict_buttons(site: Site) -> None:
    [item] = band(site, 1)
    post(site.signed_in(), "/review")
    other = site.signed_in()
    page = other.get(f"/review/{item}").text
    assert "You do not hold this item" in page
    assert 'data-key="d"' not in page
    answer = other.post(f"/review/{item}", data={"verdict": "defect"}, headers=ORIGIN)
    assert answer.status_code == 409
    assert review_of(site, item) is None


def test_a_claim_serves_the_key_that_took_it_and_no_other(site: Site) -> None:
    [item] = band(site, 1)
    secrets = []
    with site.service.database.write() as connection:
        for name in ("Ann", "Bob"):
            secrets.append(keys.create_key(connection, tenant="plant", name=name, scopes=["review"])[1])
    ann, bob = ({"Authorization": f"Bearer {secret}"} for secret in secrets)
    claim = site.client.post("/v1/reviews/next", json={}, headers=ann).get_json()["claim"]
    given = {"verdict": "defect", "claim": claim}
    refused = site.client.post(f"/v1/items/{item}/review", json=given, headers=bob)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "claimed_by_other")
    skipped = site.client.post(f"/v1/items/{item}/skip", json={"claim": claim}, headers=bob)
    assert skipped.status_code == 409
    assert review_of(site, item) is None
    assert site.client.post(f"/v1/items/{item}/review", json=given, headers=ann).status_code == 200
    assert review_of(site, item)["by"] == "Ann"


def test_who_signs_out_holds_no_item_any_more(site: Site) -> None:
    [item] = band(site, 1)
    leaving, waiting = site.signed_in(), site.signed_in()
    post(leaving, "/review")
    assert post(waiting, "/review") == "/review?empty=1"
    post(leaving, "/sign-out")
    assert post(waiting, "/review") == f"/review/{item}"
    # To sign in again in the same browser ends its former session.
    waiting.post("/v1/session", json={"key": site.key}, headers=ORIGIN)
    assert post(site.signed_in(), "/review") == f"/review/{item}"


def test_filters_are_kept_from_page_to_page(site: Site) -> None:
    band(site, 2, line="A1")
    wanted, browser = band(site, 2, line="B&2"), site.signed_in()
    start = browser.get("/review?line=B%262&source=band").text
    assert 'name="line" value="B&amp;2"' in start
    place = post(browser, "/review", line="B&2", source="band")
    assert place.startswith(f"/review/{wanted[0]}?")
    assert 'name="line" value="B&amp;2"' in browser.get(place).text
    place = post(browser, f"/review/{wanted[0]}", verdict="defect", line="B&2", source="band")
    place = post(browser, f"/review/{wanted[1]}", verdict="defect", line="B&2", source="band")
    assert place.startswith("/review?empty=1")
    assert browser.post("/review", data={"source": "none"}, headers=ORIGIN).status_code == 400


def test_any_item_is_corrected_on_its_own_page(site: Site) -> None:
    batch = site.submit(["a.png"])
    site.decide([("no_defect", 0.1, None)])
    browser = site.signed_in()
    item = site.client.get(f"/v1/batches/{batch['id']}/items", headers=site.bearer).get_json()["data"][0][
        "id"
    ]
    assert post(browser, f"/review/{item}", verdict="defect", then="item") == f"/items/{item}"
    page = browser.get(f"/items/{item}").text
    assert "Model: No defect" in page
    assert "Person: Defect" in page
    assert "Reviewed" in page
    assert post(browser, f"/review/{item}/undo", then="item") == f"/items/{item}"
    page = browser.get(f"/items/{item}").text
    assert "Person:" not in page


def test_a_wrong_verdict_and_a_foreign_page_change_nothing(site: Site) -> None:
    [item], browser = band(site, 1), site.signed_in()
    post(browser, "/review")
    assert browser.post(f"/review/{item}", data={"verdict": "maybe"}, headers=ORIGIN).status_code == 400
    foreign = {"Origin": "https://evil.example"}
    assert browser.post(f"/review/{item}", data={"verdict": "defect"}, headers=foreign).status_code == 403
    assert review_of(site, item) is None


def test_a_key_without_the_scope_sees_no_way_to_review(site: Site) -> None:
    batch = site.submit(["a.png"])
    site.decide([("review", 0.5, None)])
    item = site.client.get(f"/v1/batches/{batch['id']}/items", headers=site.bearer).get_json()["data"][0][
        "id"
    ]
    with site.service.database.write() as connection:
        _, secret = keys.create_key(connection, tenant="plant", name="reader", scopes=["read"])
    browser = site.app.test_client()
    browser.post("/v1/session", json={"key": secret})
    page = browser.get(f"/items/{item}").text
    assert 'value="defect"' not in page
    assert ">Review</a>" not in page
    assert browser.get("/review").status_code == 403


def test_pages_of_reviews_keep_to_their_own_origin(site: Site) -> None:
    [item], browser = band(site, 1), site.signed_in()
    for path in ("/review", f"/review/{item}"):
        answer = browser.get(path)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
