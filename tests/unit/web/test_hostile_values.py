"""Values that JSON, HTTP or Python let through and that mean nothing here are refused, never a 500."""

import io
from typing import Any

import pytest

from tests.harness.site import Site


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


def test_a_name_that_is_no_text_makes_no_key(site: Site) -> None:
    answer = site.client.post("/v1/api-keys", json={"name": "\ud800"}, headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")


def test_a_picture_without_end_is_not_read_to_its_end(site: Site) -> None:
    most = site.service.settings.max_item_bytes
    body = io.BytesIO(b"x" * (most + 2**20))
    answer = site.client.post("/v1/predict", data=body, content_type="image/png", headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (413, "request_too_large")
    assert site.client.get("/v1/batches?origin=predict", headers=site.bearer).get_json()["data"] == []
