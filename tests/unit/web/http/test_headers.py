"""Headers as RFC 9110 and W3C Trace Context have them."""

import re
from typing import Any

import pytest

from tests.harness.forms import as_form
from tests.harness.site import Site


@pytest.fixture
def path(site: Site) -> str:
    return f"/v1/batches/{site.submit(['a.png'])['id']}"


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"another", {tag}', 304),
        ('"another",W/{tag} , "third"', 304),
        ("*", 304),
        ('"another"', 200),
        ('W/"another", "third"', 200),
        ("", 200),
    ],
)
def test_if_none_match_is_compared_weakly_and_as_a_list(
    site: Site, path: str, known: str, status: int
) -> None:
    tag = site.client.get(path, headers=site.bearer).headers["ETag"]
    headers = {**site.bearer, "If-None-Match": known.format(tag=tag)}
    answer = site.client.get(path, headers=headers)
    assert answer.status_code == status
    assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == (tag, "no-cache")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (answer.data == b"") == (status == 304)


def test_an_ended_batch_asks_nobody_to_come_back(site: Site, path: str) -> None:
    site.decide([("defect", 0.9, None)])
    tag = site.client.get(path, headers=site.bearer).headers["ETag"]
    answer = site.client.get(path, headers={**site.bearer, "If-None-Match": tag})
    assert answer.status_code == 304
    assert "Retry-After" not in answer.headers


def test_405_says_which_methods_each_path_allows(site: Site) -> None:
    asked = 0
    for path, methods in site.client.get("/openapi.json").get_json()["paths"].items():
        for method in {"get", "post", "put", "patch", "delete"} - methods.keys():
            answer = site.client.open(path, method=method.upper(), headers=site.bearer)
            assert (answer.status_code, answer.get_json()["code"]) == (405, "method_not_allowed"), path
            allowed = set(re.split(", ?", answer.headers["Allow"]))
            assert allowed - {"HEAD", "OPTIONS"} == {name.upper() for name in methods}
            asked += 1
    assert asked >= 50


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-" + "what-the-future-adds" * 10, True),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" + "x" * 25, False),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", False),
        ("x" * 80, False),
        ("", False),
    ],
)
def test_a_malformed_traceparent_counts_as_absent(site: Site, given: str, kept: bool) -> None:
    form = as_form(("images", "a.png", b"x"))
    headers = {**site.bearer, "traceparent": given}
    batch = site.client.post("/v1/batches", **form, headers=headers).get_json()
    with site.service.database.read() as connection:
        stored = connection.exec_driver_sql(
            f"SELECT traceparent FROM batches WHERE id = '{batch['id']}'"
        ).scalar()
    assert stored == (given[:55] if kept else None)


def test_a_location_is_the_whole_address_behind_any_prefix(site: Site) -> None:
    base = "https://plant.example/gonogo"
    receiver = {"url": "https://receiver.example/hook"}

    def post(path: str, **asked: Any) -> str:
        answer = site.client.post(path, base_url=f"{base}/", headers=site.bearer, **asked)
        assert answer.status_code in (201, 202), answer.text
        where = answer.headers["Location"]
        seen = site.client.get(where.removeprefix(base), base_url=f"{base}/", headers=site.bearer)
        assert seen.get_json()["id"] == answer.get_json()["id"]
        return where

    for where in (
        post("/v1/batches", **as_form(("images", "a.png", b"x"))),
        endpoint := post("/v1/webhook-endpoints", json=receiver),
        post(f"{endpoint.removeprefix(base)}/test"),
    ):
        assert where.startswith(f"{base}/v1/")
