"""Calls of persons who review, for the test that each change leaves an audit entry."""

from collections.abc import Callable
from typing import Any

from werkzeug.test import TestResponse

from tests.harness.site import ORIGIN, Site

NAMED = {"X-Request-Id": "the-request"}


def send(site: Site, path: str, *, method: str = "POST", **given: Any) -> TestResponse:
    return site.client.open(path, method=method, headers={**site.bearer, **NAMED}, **given)


def decided_item(site: Site) -> str:
    """The id of an item in review."""
    batch = site.submit(["a.png"])
    site.decide([("review", 0.5, None)])
    listed = site.client.get(f"/v1/batches/{batch['id']}/items", headers=site.bearer).get_json()
    return str(listed["data"][0]["id"])


def take_review(site: Site) -> TestResponse:
    decided_item(site)
    return send(site, "/v1/reviews/next", json={})


def skip_review(site: Site) -> TestResponse:
    item = decided_item(site)
    claim = site.client.post("/v1/reviews/next", json={}, headers=site.bearer).get_json()["claim"]
    return send(site, f"/v1/items/{item}/skip", json={"claim": claim})


def give_review(site: Site) -> TestResponse:
    return send(site, f"/v1/items/{decided_item(site)}/review", json={"verdict": "defect"})


def take_review_back(site: Site) -> TestResponse:
    path = f"/v1/items/{decided_item(site)}/review"
    assert site.client.post(path, json={"verdict": "defect"}, headers=site.bearer).status_code == 200
    return send(site, path, method="DELETE")


def on_the_review_page(step: str) -> Callable[[Site], TestResponse]:
    """A step of a person who works with the page of reviews, after those that come before it."""

    def call(site: Site) -> TestResponse:
        path, browser = f"/review/{decided_item(site)}", site.signed_in()
        steps = {
            "next": ["/review"],
            "give": ["/review", path],
            "skip": ["/review", f"{path}/skip"],
            "undo": ["/review", path, f"{path}/undo"],
        }
        *before, last = steps[step]
        for each in before:
            assert browser.post(each, data={"verdict": "defect"}, headers=ORIGIN).status_code == 303
        return browser.post(last, data={"verdict": "defect"}, headers={**ORIGIN, **NAMED})

    return call
