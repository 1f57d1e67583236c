"""Every route is closed: it refuses query parameters that it does not name, and each refusal points at its part."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from shared import json_text
from shared.access import keys
from shared.contract.manifests import MAX_MANIFEST_BYTES
from tests.harness.forms import as_form, options_part
from tests.harness.site import ORIGIN, Site
from web.live.waits import PRECHECK

_LEAVES = {"pages.static": {"filename": "gonogo.css"}}


@pytest.fixture
def site(site_of_file: Site) -> Site:
    """All tests share it: a refused request changes nothing."""
    return site_of_file


def calls(site: Site) -> Iterator[tuple[Rule, str, str]]:
    """(rule, method, path) of every route, with ids of a batch, an item and a model that are there."""
    batch = site.submit(["a.png"])
    item = site.client.get(f"/v1/batches/{batch['id']}/items", headers=site.bearer).get_json()["data"][0]
    model = site.client.get("/v1/models", headers=site.bearer).get_json()["data"][0]
    ids = {"batch_id": batch["id"], "item_id": item["id"], "model_id": model["id"], "step": "pause"} | {
        "switch": "activate"
    }
    adapter = site.app.url_map.bind("localhost")
    for rule in site.app.url_map.iter_rules():
        places = {name: ids.get(name, "none") for name in rule.arguments} | _LEAVES.get(rule.endpoint, {})
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield rule, method, adapter.build(rule.endpoint, places, method=method)


def operator(site: Site) -> FlaskClient:
    """A browser whose session may do everything."""
    with site.service.database.write() as connection:
        _, secret = keys.create_key(
            connection, tenant="plant", name="operator", scopes=["admin", "metrics", "operator"]
        )
    browser = site.app.test_client()
    browser.post("/v1/session", json={"key": secret})
    return browser


def test_every_route_refuses_an_unknown_query_parameter(site: Site) -> None:
    browser, seen = operator(site), 0
    for rule, method, path in calls(site):
        for query in ("treshold=0.5", "treshold="):
            answer = browser.open(f"{path}?{query}", method=method, headers=ORIGIN, json={})
            assert answer.status_code == 400, (rule, method, answer.status_code)
            seen += 1
            if method != "HEAD" and answer.is_json:
                problem = answer.get_json()
                assert problem["code"] == "invalid_parameter", (rule, method, problem)
                required = {"/query/part_number"} if "items" in rule.rule and method == "POST" else set()
                assert {entry["pointer"] for entry in problem["errors"]} - required == {"/query/treshold"}
    assert seen > 60


def test_every_route_refuses_a_repeated_query_parameter(site: Site) -> None:
    browser = operator(site)
    for rule, method, path in calls(site):
        answer = browser.open(f"{path}?limit=1&limit=2", method=method, headers=ORIGIN, json={})
        assert answer.status_code == 400, (rule, method, answer.status_code)


def test_every_route_refuses_bytes_that_are_no_text(site: Site) -> None:
    browser = operator(site)
    for rule, method, path in calls(site):
        for query in ("q=%ff", "q=a%C3", "q=%ed%a0%80", "metadata.%ff=1"):
            answer = browser.open(f"{path}?{query}", method=method, headers=ORIGIN, json={})
            assert answer.status_code == 400, (rule, method, answer.status_code)
            if method != "HEAD" and answer.is_json:
                pointers = {entry["pointer"] for entry in answer.get_json()["errors"]}
                assert pointers & {"/query/q", "/query/metadata.\ufffd"}, (rule, method, pointers)


@pytest.mark.parametrize("path", ["/v1/batches", "/v1/parts", "/v1/audit", "/v1/batches/{}/items"])
def test_a_parameter_without_a_value_is_refused_on_every_list(site: Site, path: str) -> None:
    path = path.format(site.submit(["a.png"])["id"]) if "{" in path else path
    documented = site.client.get("/openapi.json").get_json()["paths"]
    template = path if path in documented else "/v1/batches/{batch_id}/items"
    names = [each["name"] for each in documented[template]["get"]["parameters"] if each["in"] == "query"]
    assert "cursor" in names
    browser = operator(site)
    for name in names:
        answer = browser.get(f"{path}?{name}=")
        assert answer.status_code == 400, name
        assert answer.get_json()["errors"][0]["pointer"].startswith(f"/query/{name}"), name


def test_the_pages_and_documents_answer_without_a_query(site: Site) -> None:
    browser = site.signed_in()
    for path in (
        "/",
        "/docs",
        "/docs/errors",
        "/openapi.json",
        "/sign-in",
        "/sign-in?next=/docs",
        "/static/live.js",
    ):
        with browser.get(path) as answer:
            assert answer.status_code == 200, path
    assert 'name="next" value="/docs"' in browser.get("/sign-in?next=/docs").text
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        assert 'name="next" value="/"' in browser.get("/sign-in", query_string={"next": elsewhere}).text


IMAGE = ("images", "a.png", b"x")
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "an option": ("/v1/batches", as_form(options_part({"colour": 1}), IMAGE), "/options/colour"),
    "a model": ("/v1/batches", as_form(options_part({"model": "none such"}), IMAGE), "/options/model"),
    "a model of a prediction": ("/v1/predict?model=none", as_form(("file", "a.png", b"x")), "/query/model"),
    "an operating point": (
        "/v1/batches",
        as_form(options_part({"operating_point": {"threshold": 0.9}}), IMAGE),
        "/options/operating_point",
    ),
    "a webhook's address": (
        "/v1/batches",
        as_form(options_part({"webhook": {"url": "http://127.0.0.1/"}}), IMAGE),
        "/options/webhook/url",
    ),
    "a part": ("/v1/batches", as_form(("holi/day", "a", b"x"), IMAGE), "/holi~1day"),
    "options twice": ("/v1/batches", as_form(options_part({}), options_part({}), IMAGE), "/options"),
    "two archives": ("/v1/batches", as_form(*[("archive", "a.zip", b"x")] * 2), "/archive"),
    "no archive": ("/v1/batches", as_form(("archive", "a.zip", b"x")), "/archive"),
    "nothing": ("/v1/batches", as_form(options_part({})), ""),
    "a broken form": ("/v1/batches", {"data": b"x", "content_type": "multipart/form-data; boundary=b"}, ""),
    "a key's length": (
        "/v1/batches",
        {**as_form(IMAGE), "headers": {"Idempotency-Key": "x" * 256}},
        "/header/Idempotency-Key",
    ),
    "a member": ("/v1/api-keys", {"json": {"name": "x", "treshold": 1}}, "/treshold"),
    "a time": ("/v1/api-keys", {"json": {"name": "x", "expires_at": "2001-01-01T00:00:00Z"}}, "/expires_at"),
    "no JSON": ("/v1/api-keys", {"data": "{", "content_type": "application/json"}, ""),
    "an artifact": ("/v1/models", {"data": b"x", "content_type": "application/zip"}, ""),
    "no events": (
        "/v1/batches",
        as_form(options_part({"webhook": {"url": "https://receiver.example/", "events": []}}), IMAGE),
        "/options/webhook/events",
    ),
    "a member of a union": (
        "/v1/webhook-endpoints",
        {"json": {"url": "https://receiver.example/", "filters": {"metadata": {"a": []}}}},
        "/filters/metadata/a",
    ),
    "no object": ("/v1/api-keys", {"json": []}, ""),
    "no object within": ("/v1/webhook-endpoints", {"json": {"url": "https://a.example/", "filters": 1}}, "/filters"),
    "a member that is absent": ("/v1/webhook-endpoints", {"json": {}}, "/url"),
    "two images": ("/v1/predict", as_form(IMAGE, IMAGE), ""),
    "an odd name": ("/v1/batches", as_form(("images", "\x01.png", b"x")), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_each_refusal_points_at_the_part_that_is_wrong(site: Site, case: str) -> None:
    path, call, pointer = REFUSED[case]
    headers = {**site.bearer, **call.get("headers", {})}
    answer = site.client.post(path, **{**call, "headers": headers})
    assert answer.status_code in (400, 422), answer.text
    problem = answer.get_json()
    assert [entry["pointer"] for entry in problem["errors"]] == [pointer], problem
    assert "Input should" not in answer.text
    assert ": :" not in answer.text
    assert all(entry["code"] and entry["detail"] for entry in problem["errors"])


@pytest.mark.parametrize(
    "url", ["https://[", "https://", "https://user:secret@receiver.example/", "https://a b/"]
)
def test_a_text_that_is_no_url_is_told_from_an_address_that_is_forbidden(site: Site, url: str) -> None:
    for path, call, pointer in (
        ("/v1/webhook-endpoints", {"json": {"url": url}}, "/url"),
        ("/v1/batches", {"json": {"inputs": [{"url": url}]}}, "/inputs/0/url"),
        ("/v1/batches", as_form(options_part({"webhook": {"url": url}}), IMAGE), "/options/webhook/url"),
    ):
        answer = site.client.post(path, **call, headers=site.bearer)
        entry = answer.get_json()["errors"][0]
        assert (answer.status_code, entry["code"], entry["pointer"]) == (422, "invalid_url", pointer)


def test_a_path_that_is_not_there_gets_no_advice_for_a_browser(site: Site) -> None:
    for path, method in (
        ("/v1/none", "GET"),
        ("/v1/batches/", "GET"),
        ("/v1/batches", "PUT"),
        ("/none", "GET"),
    ):
        answer = site.client.open(path, method=method, headers=site.bearer | {"Accept": "application/json"})
        assert answer.status_code in (404, 405)
        detail = answer.get_json()["detail"]
        assert "manually" not in detail
        assert "requested URL" not in detail


def test_a_submission_of_another_form_is_told_every_form(site: Site) -> None:
    answer = site.client.post("/v1/batches", data=b"a", content_type="text/plain", headers=site.bearer)
    assert answer.status_code == 415
    assert "multipart/form-data" in answer.text
    assert "application/json" in answer.text


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", None])
def test_a_manifest_of_another_form_is_not_guessed(site: Site, kind: str | None) -> None:
    form = as_form(options_part({}))
    draft = site.client.post("/v1/batches?draft=true", **form, headers=site.bearer).get_json()["id"]
    path = f"/v1/batches/{draft}/manifest"
    answer = site.client.put(path, data=b"filename\n", content_type=kind, headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("path", "method", "kind", "most"),
    [
        ("/v1/batches", "POST", "application/json", json_text.MAX_BYTES),
        ("/v1/webhook-endpoints", "POST", "application/json", json_text.MAX_BYTES),
        ("/v1/batches/bat_none/manifest", "PUT", "text/csv", MAX_MANIFEST_BYTES),
        ("/v1/batches/bat_none/manifest", "PUT", "application/x-ndjson", MAX_MANIFEST_BYTES),
    ],
)
def test_a_body_over_the_bound_of_its_form_is_not_asked_for(
    site: Site, path: str, method: str, kind: str, most: int
) -> None:
    for length, status in ((most, 204), (most + 1, 413)):
        environ = {PRECHECK: True, "CONTENT_LENGTH": str(length)}
        answer = site.client.open(
            path, method=method, content_type=kind, headers=site.bearer, environ_overrides=environ
        )
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("path", ["/v1/batches", "/v1/batches/{}/items"])
def test_a_cursor_that_cannot_be_used_is_pointed_at(site: Site, path: str) -> None:
    path = path.format(site.submit(["a.png"])["id"])
    for cursor in ("bm9uc2Vuc2U", "WyIwMDAwMDAwMCIsIDFd"):
        problem = site.client.get(path, query_string={"cursor": cursor}, headers=site.bearer).get_json()
        assert (problem["code"], problem["errors"][0]["pointer"]) == ("invalid_cursor", "/query/cursor")


@pytest.mark.parametrize("accept", ["", " ", "*/*", None])
def test_an_empty_accept_header_means_any_form(site: Site, accept: str | None) -> None:
    batch = site.submit(["a.png"])
    headers = site.bearer | ({} if accept is None else {"Accept": accept})
    answer = site.client.get(f"/v1/batches/{batch['id']}/results", headers=headers)
    assert (answer.status_code, answer.mimetype) == (200, "application/x-ndjson")
    assert json.loads(io.BytesIO(answer.data).readline())["filename"] == "a.png"
