"""The pages as a browser gets them, script or no script."""

import io
import json
import re
from html import unescape
from typing import Any

import pytest

from shared.access import keys
from tests.harness.site import ORIGIN, Site

HOSTILE = "<img src=x onerror=alert(1)>\"'.png"


def decided(site: Site, **options: Any) -> dict[str, Any]:
    batch = site.submit(["good.png", "cracked.png", "odd.png", "cut.png"], **options)
    site.decide(
        [
            ("no_defect", 0.02, None),
            ("defect", 0.97, None),
            ("review", 0.55, None),
            (None, None, "corrupt_image"),
        ]
    )
    return batch


def test_who_has_no_session_is_asked_for_a_key_and_comes_back(site: Site) -> None:
    client = site.app.test_client()
    answer = client.get("/batches/bat_1?verdict=defect")
    assert answer.status_code == 303
    form = client.get(answer.location)
    back = unescape(re.search(r'name="next" value="([^"]*)"', form.text).group(1))  # type: ignore[union-attr]
    signed = client.post("/sign-in", data={"key": f" {site.key} ", "next": back}, headers=ORIGIN)
    assert (signed.status_code, signed.location) == (303, "/batches/bat_1?verdict=defect")
    cookie = signed.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "x",
        "//[",
        "http://[",
        "/a\r\nX-Injected: 1",
        "/a\n",
        "/a\x7f",
        "/a\u2028",
    ],
)
def test_signing_in_never_leads_to_another_host_or_breaks_a_header(site: Site, elsewhere: str) -> None:
    client = site.app.test_client()
    form = client.get("/sign-in", query_string={"next": elsewhere})
    assert (form.status_code, 'name="next" value="/"' in form.text) == (200, True)
    answer = client.post("/sign-in", data={"key": site.key, "next": elsewhere}, headers=ORIGIN)
    assert (answer.status_code, answer.location) == (303, "/")
    assert "X-Injected" not in answer.headers


def test_signing_in_leads_to_a_path_in_any_script(site: Site) -> None:
    answer = site.app.test_client().post(
        "/sign-in", data={"key": site.key, "next": "/?lot=Größe 5 日本"}, headers=ORIGIN
    )
    assert (answer.status_code, answer.location) == (303, "/?lot=Gr%C3%B6%C3%9Fe%205%20%E6%97%A5%E6%9C%AC")


def test_a_wrong_key_is_said_so_and_begins_no_session(site: Site) -> None:
    client = site.app.test_client()
    answer = client.post("/sign-in", data={"key": "gng_a_b"}, headers=ORIGIN)
    assert answer.status_code == 401
    assert "no live API key" in answer.text
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("path", ["/sign-in", "/v1/session"])
def test_a_foreign_page_begins_no_session(site: Site, path: str) -> None:
    client = site.app.test_client()
    answer = client.post(path, data={"key": site.key}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert client.get("/").status_code == 303


def test_signing_out_ends_the_session(site: Site) -> None:
    client = site.signed_in()
    client.post("/sign-out", headers=ORIGIN)
    assert client.get("/").status_code == 303


def test_the_list_shows_running_batches_first_and_watches_one(site: Site) -> None:
    client = site.signed_in()
    assert "No batch yet" in client.get("/").text
    running = site.submit(["a.png"], name="Line A3")
    site.decide([("defect", 0.9, None)])
    waiting = site.submit(["b.png", "c.png"])
    page = client.get("/").text
    assert page.index(waiting["id"]) < page.index(running["id"])
    assert f'data-poll="/v1/batches/{waiting["id"]}"' in page
    assert "Line A3" in page


def test_a_batch_shows_its_parts_by_verdict(site: Site) -> None:
    form = {"manifest": (io.BytesIO(b"filename,part_id\na.png,1\nb.png,1\nc.png,2\n"), "m.csv")}
    images = [(io.BytesIO(b"image of " + name.encode()), name) for name in ("a.png", "b.png", "c.png")]
    made = site.client.post("/v1/batches", data={**form, "images": images}, headers=site.bearer).get_json()
    site.decide([("no_defect", 0.1, None), ("defect", 0.9, None), ("review", 0.5, None)])
    page = site.signed_in().get(f"/batches/{made['id']}").text
    assert "1 defect, 1 review, 0 no defect of 2" in page
    assert "<dt>Parts</dt>" not in site.signed_in().get(f"/batches/{site.submit(['d.png'])['id']}").text


def test_a_batch_shows_its_items_worst_first(site: Site) -> None:
    page = site.signed_in().get(f"/batches/{decided(site)['id']}").text
    places = [page.index(f">{name}</bdi>") for name in ("cracked.png", "odd.png", "good.png", "cut.png")]
    assert places == sorted(places)
    assert page.count("/v1/items/itm_") == 3  # no thumbnail is asked for where none can be drawn
    for word in ("Defect", "No defect", "Review", "0.970", "0.020", "4 of 4", "100"):
        assert word in page
    assert "data-poll" not in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("verdict=defect", "cracked"),
        ("verdict=no_defect", "good"),
        ("verdict=review", "odd"),
        ("status=failed", "cut"),
    ],
)
def test_a_filter_shows_its_kind_alone(site: Site, query: str, shown: str) -> None:
    page = site.signed_in().get(f"/batches/{decided(site)['id']}?{query}").text
    assert re.findall(r"<bdi>(\w+)\.png</bdi>", page) == [shown]


def test_a_failed_item_names_its_code_and_where_that_is_explained(site: Site) -> None:
    client = site.signed_in()
    page = client.get(f"/batches/{decided(site)['id']}?status=failed").text
    assert 'href="/docs/errors/corrupt_image"' in page
    assert 'id="corrupt_image"' in client.get("/docs/errors").text


def test_an_empty_tab_does_not_read_like_a_verdict(site: Site) -> None:
    batch = site.submit(["a.png", "b.png"])
    site.decide([(None, None, "corrupt_image"), (None, None, "corrupt_image")])
    page = site.signed_in().get(f"/batches/{batch['id']}?verdict=defect").text
    assert "No item has the verdict “Defect”. 2 of 2 items have no verdict." in page


@pytest.mark.parametrize(
    "filter", ["verdict=defect", "verdict=review", "status=failed", "status=expired", ""]
)
def test_every_empty_tab_says_so_and_that_the_batch_still_runs(site: Site, filter: str) -> None:
    batch = site.submit(["a.png"])
    page = site.signed_in().get(f"/batches/{batch['id']}?{filter}").text
    assert ("so far." if filter else "No verdict yet") in page


def test_a_batch_in_which_everything_failed_is_not_done(site: Site) -> None:
    batch = site.submit(["a.png", "b.png"])
    site.decide([(None, None, "corrupt_image"), (None, None, "corrupt_image")])
    client = site.signed_in()
    for path in ("/", f"/batches/{batch['id']}"):
        page = client.get(path).text
        assert '<span class="state all_failed">All failed</span>' in page
        assert "state completed" not in page
        assert "images/s" not in page.lower()


def test_a_batch_that_lacks_verdicts_says_how_many(site: Site) -> None:
    batch = decided(site)
    page = site.signed_in().get(f"/batches/{batch['id']}").text
    assert '<span class="state partial">Done, 1 without a verdict</span>' in page


def test_cancelled_items_have_a_tab_and_count_for_no_speed(site: Site) -> None:
    batch = site.submit(["a.png", "b.png"])
    client, path = site.signed_in(), f"/batches/{batch['id']}"
    assert "status=cancelled" not in client.get(path).text
    client.post(f"{path}/cancel", headers=ORIGIN)
    page = client.get(path).text
    assert "status=cancelled" in page
    assert "images/s" not in page.lower()
    listed = client.get(f"{path}?status=cancelled").text
    assert re.findall(r"<bdi>(\w+\.png)</bdi>", listed) == ["a.png", "b.png"]
    assert listed.count("The batch was cancelled before it was judged.") == 2


def test_a_blocked_batch_says_so_and_why(site: Site) -> None:
    batch = site.submit(["a.png"])
    with site.service.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE batches SET blocked = ?",
            (
                json.dumps(
                    {"code": "no_worker", "detail": "no live worker serves <b>it</b>", "since": "2026-11-29"}
                ),
            ),
        )
    client = site.signed_in()
    for path in ("/", f"/batches/{batch['id']}"):
        page = client.get(path).text
        assert '<span class="state blocked">Blocked</span>' in page
        assert "no live worker serves &lt;b&gt;it&lt;/b&gt;" in page


def test_results_of_a_running_batch_are_offered_as_partial(site: Site) -> None:
    batch = site.submit(["a.png"])
    client = site.signed_in()
    assert "Results so far" in client.get(f"/batches/{batch['id']}").text
    site.decide([("defect", 0.9, None)])
    assert "Results so far" not in client.get(f"/batches/{batch['id']}").text


def test_what_has_no_verdict_yet_is_not_shown_as_a_part(site: Site) -> None:
    batch = site.submit(["a.png"])
    page = site.signed_in().get(f"/batches/{batch['id']}").text
    assert "No verdict yet" in page
    assert f'data-poll="/v1/batches/{batch["id"]}"' in page
    assert "/thumbnail" not in page


def test_the_next_page_goes_on_where_this_one_ends(site: Site) -> None:
    names = [f"p{number:02d}.png" for number in range(60)]
    batch = site.submit(names)
    site.decide([("no_defect", 0.5 - number / 200, None) for number in range(60)])
    client = site.signed_in()
    first = client.get(f"/batches/{batch['id']}?verdict=no_defect").text
    following = unescape(re.search(r'href="([^"]*cursor=[^"]*)"', first).group(1))  # type: ignore[union-attr]
    second = client.get(following).text
    assert re.findall(r"<bdi>(p\d+\.png)", first) + re.findall(r"<bdi>(p\d+\.png)", second) == names


def test_names_and_labels_are_text_whatever_they_hold(site: Site) -> None:
    batch = site.submit(["a.png"], name=HOSTILE, metadata={"<b>": "</style><script>alert(1)</script>"})
    database = site.service.database
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE items SET filename = ?", (HOSTILE,))
    site.decide([("defect", 0.9, None)])
    client = site.signed_in()
    for path in ("/", f"/batches/{batch['id']}", f"/batches/{batch['id']}?verdict=defect"):
        page = client.get(path).text
        assert "<img src=x" not in page
        assert "<script>alert" not in page
        assert "&lt;img src=x" in page


def test_names_cannot_turn_the_order_of_what_a_page_shows(site: Site) -> None:
    turned, shown = "a\u202egpj.exe.jpg", r"a\u202egpj.exe.jpg"
    batch = site.submit([turned, turned], name=turned, metadata={turned: turned})
    site.decide([("defect", 0.9, None), (None, None, "corrupt_image")])
    client = site.signed_in()
    for path in ("/", f"/batches/{batch['id']}", f"/batches/{batch['id']}?status=failed"):
        page = client.get(path).text
        assert "\u202e" not in page
        assert f"<bdi>{shown}</bdi>" in page
    items = client.get(f"/v1/batches/{batch['id']}/items").get_json()["data"]
    assert {item["filename"] for item in items} == {turned}  # kept as sent


def test_every_page_keeps_to_its_own_origin(site: Site) -> None:
    batch = decided(site)
    client = site.signed_in()
    for path in ("/", f"/batches/{batch['id']}", "/sign-in", "/docs", "/docs/errors", "/batches/bat_none"):
        answer = client.get(path, headers={"Accept": "text/html"})
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'")
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", answer.text), path
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text), path


def test_a_stranger_to_the_tenant_sees_a_page_that_says_not_found(site: Site) -> None:
    batch = site.submit(["a.png"])
    with site.service.database.write() as connection:
        _, other = keys.create_key(connection, tenant="rival", name="x", scopes=["read"])
    client = site.app.test_client()
    client.post("/v1/session", json={"key": other})
    answer = client.get(f"/batches/{batch['id']}")
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert batch["id"] not in client.get("/").text


def test_a_key_that_may_only_read_is_offered_nothing_else(site: Site) -> None:
    batch = site.submit(["a.png"])
    with site.service.database.write() as connection:
        _, reader = keys.create_key(connection, tenant="plant", name="x", scopes=["read"])
    client = site.app.test_client()
    client.post("/v1/session", json={"key": reader})
    assert 'id="upload"' not in client.get("/").text
    assert "Cancel" not in client.get(f"/batches/{batch['id']}").text
    assert client.post(f"/batches/{batch['id']}/cancel", headers=ORIGIN).status_code == 403


def test_cancel_works_without_script_and_for_no_foreign_page(site: Site) -> None:
    batch = site.submit(["a.png"])
    client, path = site.signed_in(), f"/batches/{batch['id']}/cancel"
    assert client.post(path, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post(path).status_code == 403
    answer = client.post(path, headers=ORIGIN)
    assert (answer.status_code, answer.location) == (303, f"/batches/{batch['id']}")
    assert "Cancelled" in client.get(answer.location).text


def test_an_unknown_address_is_a_page_for_a_browser_and_a_problem_for_a_program(site: Site) -> None:
    page = site.client.get("/nowhere", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.mimetype) == (404, "text/html")
    for path, accept in [("/nowhere", "*/*"), ("/v1/nowhere", "text/html")]:
        answer = site.client.get(path, headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_the_documentation_lists_every_operation_and_schema(site: Site) -> None:
    page = site.client.get("/docs").text
    document = site.client.get("/openapi.json").get_json()
    for path, methods in document["paths"].items():
        assert path in page
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page


def test_a_database_that_is_away_is_said_on_the_page(site: Site) -> None:
    client = site.signed_in()
    client.get("/")
    with site.service.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE batches RENAME TO elsewhere")
    answer = client.get("/")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert int(answer.headers["Retry-After"]) > 0
