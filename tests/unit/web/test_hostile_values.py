"""Values that JSON, HTTP or Python let through and that mean nothing here are refused, never a 500."""

import io
import json
from typing import Any

import pytest

from tests.harness.forms import as_form, options_part
from tests.harness.site import Site


@pytest.fixture
def site(site_of_file: Site) -> Site:
    """All tests share it: a refused request changes nothing."""
    return site_of_file


def submit(site: Site, options: str) -> Any:
    form = {"options": options, "images": (io.BytesIO(b"x"), "a.png")}
    return site.client.post("/v1/batches", data=form, headers=site.bearer)


@pytest.mark.parametrize(
    "options",
    [
        '{"priority": []}',
        '{"priority": {"a": 1}}',
        '{"metadata": {"a": NaN}}',
        '{"metadata": {"a": Infinity}}',
        '{"metadata": {"label": "\\ud800"}}',
        '{"model": "\\ud800"}',
        "[" * 100_000,
        '{"metadata": {"a": ' + "[" * 50_000 + "]" * 50_000 + "}}",
        "\x00",
    ],
)
def test_options_that_no_json_reader_or_database_takes_are_refused(site: Site, options: str) -> None:
    answer = submit(site, options)
    assert answer.status_code == 400
    assert answer.get_json()["code"] == "invalid_options"
    assert site.signed_in().get("/").status_code == 200


@pytest.mark.parametrize(
    "value", ["WzFd", "WyJhIl0", "W251bGwsIG51bGxd", "W3RydWUsICJcdWQ4MDAiXQ", "%00", "é", "===="]
)
def test_a_made_up_cursor_is_refused_on_every_list_and_page(site: Site, value: str) -> None:
    batch = site.submit(["a.png"])
    client = site.signed_in()
    for path in (
        "/v1/batches",
        f"/v1/batches/{batch['id']}/items",
        f"/batches/{batch['id']}",
        "/",
    ):
        answer = client.get(path, query_string={"cursor": value, "sort": "-score"})
        assert answer.status_code == 400, path


HOSTILE_JSON = {
    "nothing": "",
    "not json": "{key",
    "half a body": '{"name": "x"',
    "a list": "[]",
    "null": "null",
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 60_000 + "1" + "}" * 60_000,
    "33 levels": '{"name": "x", "scopes": ' + "[" * 32 + "]" * 32 + "}",
    "NaN": '{"name": "x", "expires_at": NaN}',
    "Infinity": '{"name": "x", "expires_at": Infinity}',
    "a number beyond all": '{"name": "x", "expires_at": 1e999}',
    "an integer of 5,000 digits": '{"name": "x", "expires_at": ' + "9" * 5000 + "}",
    "a repeated member": '{"name": "x", "name": "y"}',
    "half a surrogate pair": '{"name": "\\ud800"}',
    "NUL": '{"name": "\\u0000"}',
    "an unknown member": '{"name": "x", "key": "x", "treshold": 1}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "Latin-1": '{"name": "Süd"}'.encode("latin-1"),
}


@pytest.mark.parametrize("body", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
@pytest.mark.parametrize("path", ["/v1/api-keys", "/v1/session"])
def test_json_that_cannot_be_used_is_refused_wherever_json_is_taken(
    site: Site, path: str, body: str | bytes
) -> None:
    before = site.client.get("/v1/api-keys", headers=site.bearer).get_json()
    answer = site.client.post(path, data=body, content_type="application/json", headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")
    after = site.client.get("/v1/api-keys", headers=site.bearer).get_json()
    assert [key["id"] for key in after["data"]] == [key["id"] for key in before["data"]]


def test_a_byte_order_mark_is_ignored(site: Site) -> None:
    body = b'\xef\xbb\xbf{"name": "x"}'
    answer = site.client.post("/v1/api-keys", data=body, content_type="application/json", headers=site.bearer)
    assert (answer.status_code, answer.get_json()["name"]) == (201, "x")


def test_32_levels_are_taken_and_33_are_not(site: Site) -> None:
    def nested(levels: int) -> str:
        return '{"metadata": ' + '{"a":' * (levels - 1) + "1" + "}" * (levels - 1) + "}"

    assert submit(site, nested(32)).status_code == 202
    answer = submit(site, nested(33))
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_options")
    assert answer.get_json()["errors"][0]["pointer"] == "/options/metadata" + "/a" * 31


def test_json_over_a_mebibyte_is_refused(site: Site) -> None:
    body = json.dumps({"name": "x" * 2**20})
    for path in ("/v1/api-keys", "/v1/session"):
        answer = site.client.post(path, data=body, content_type="application/json", headers=site.bearer)
        assert (answer.status_code, answer.get_json()["code"]) == (413, "request_too_large")
    form = as_form(options_part({"metadata": {"x": "y" * 2**20}}), ("images", "a.png", b"x"))
    assert site.client.post("/v1/batches", **form, headers=site.bearer).status_code == 413


def test_every_wrong_member_is_named_at_once(site: Site) -> None:
    asked = {"priority": "soon", "colour": 1, "operating_point": {"treshold": 1, "threshold": "high"},
             "webhook": {"url": "https://x.example", "events": ["batch.completed", "no.such"], "a/b~c": 1}}  # fmt: skip
    answer = submit(site, json.dumps(asked))
    assert {entry["pointer"] for entry in answer.get_json()["errors"]} == {
        "/options/priority", "/options/colour", "/options/operating_point/treshold",
        "/options/operating_point/threshold", "/options/webhook/events/1", "/options/webhook/a~1b~0c",
    }  # fmt: skip


def test_a_form_signs_in_as_json_does_and_is_as_closed(site: Site) -> None:
    def signed_in(**form: object) -> int:
        return site.client.post("/v1/session", data=form).status_code

    assert signed_in(key=site.key) == 200
    assert signed_in(key=site.key, colour="red") == 400
    assert signed_in(key=[site.key, site.key]) == 400
    assert site.client.post("/v1/session", data="key", content_type="text/plain").status_code == 415


QUERIES = [
    "colour=red", "limit=2&limit=3", "limit=", "limit=1.0", "limit=%201", "limit=1e2", "limit=0", "status=",
    "status=done", "status=queued,done", "status=queued,,failed", "created_after=2026-11-24",
    "created_after=2026-11-24T10:00:00", "created_after=2026-13-24T10:00:00Z", "created_after=0",
    "created_after=99999-11-24T10:00:00Z", "created_before=0001-01-01T00:00:00%2B14:00", "origin=mail", "cursor=x",
    "limit=%00", "%00=1", "LIMIT=3", "&".join(f"metadata.{number}=1" for number in range(11)),
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_parameter_that_cannot_be_is_refused_by_name(site: Site, query: str) -> None:
    answer = site.client.get(f"/v1/batches?{query}", headers=site.bearer)
    assert answer.status_code == 400
    assert answer.get_json()["code"] in {"invalid_parameter", "invalid_cursor"}
    if answer.get_json()["code"] == "invalid_parameter":
        assert answer.get_json()["errors"][0]["pointer"].startswith("/query")


def test_no_route_ignores_a_query_parameter(site: Site) -> None:
    asked = 0
    for path, methods in site.client.get("/openapi.json").get_json()["paths"].items():
        for method in methods:
            answer = site.client.open(f"{path}?colour=red", method=method, headers=site.bearer)
            assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_parameter"), (
                method,
                path,
            )
            asked += 1
    assert asked >= 25


@pytest.mark.parametrize("offset", ["Z", "+01:00", "-11:30", "%2B01:00"])
def test_a_time_with_any_offset_is_taken(site: Site, offset: str) -> None:
    query = f"created_after=2026-11-24T10:00:00.123456789{offset}"
    assert site.client.get(f"/v1/batches?{query}", headers=site.bearer).status_code == 200


def test_a_name_that_is_no_text_makes_no_key(site: Site) -> None:
    answer = site.client.post("/v1/api-keys", json={"name": "\ud800"}, headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")


def test_a_image_without_end_is_not_read_to_its_end(site: Site) -> None:
    most = site.service.settings.max_item_bytes
    body = io.BytesIO(b"x" * (most + 2**20))
    answer = site.client.post("/v1/predict", data=body, content_type="image/png", headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (413, "request_too_large")
    assert site.client.get("/v1/batches?origin=predict", headers=site.bearer).get_json()["data"] == []
