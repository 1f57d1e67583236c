"""Rules that hold on every path: its address, the form of its answers, and the status of a value that is refused."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.harness.forms import as_form, options_part
from tests.harness.site import Site
from tests.unit.web.test_closed import calls, operator

OPTIONS = [
    {"operating_point": {"threshold": 2}},
    {"operating_point": {"review_band": [0.6, 0.4]}},
    {"operating_point": {"review_band": [0.6, 0.4, 0.2]}},
    {"operating_point": {"threshold": 0.5, "review_band": [0.6, 0.7]}},
    {"deadline": -1},
    {"priority": "soon"},
    {"metadata": {"x": "y" * 20_000}},
    {"metadata": "text"},
    {"model": "none such"},
    {"webhook": {"url": "ftp://receiver.example"}},
    {"webhook": {"url": "https://127.0.0.1/"}},
    {"colour": 1},
]
RESCORES = [{"threshold": -0.1}, {"review_band": [0.7, 0.55]}, {"review_band": [0.7]}, {"threshold": "high"}]


def test_a_path_with_an_empty_segment_is_nowhere(site: Site) -> None:
    browser = operator(site)
    for rule, method, path in calls(site):
        head, _, last = path.rpartition("/")
        for odd in {f"/{path}", f"{head}//{last}", f"{path}//"}:
            for asked in (method, "OPTIONS"):
                answer = browser.open("/", method=asked, environ_overrides={"PATH_INFO": odd}, json={})
                assert answer.status_code == 404, (rule, asked, odd, answer.status_code)


def test_a_path_of_one_form_answers_in_it_whatever_accept_asks_for(site: Site) -> None:
    documented = site.client.get("/openapi.json").get_json()["paths"]
    browser, seen = operator(site), 0
    for rule, method, path in calls(site):
        form = documented.get(rule.rule.replace("<", "{").replace(">", "}"), {}).get(method.lower(), {})
        kinds = {kind for each in form.get("responses", {}).values() for kind in each.get("content", {})}
        if method == "GET" and kinds and kinds <= {"application/json", "application/problem+json"}:
            answer = browser.get(path, headers={"Accept": "image/png"})
            assert answer.is_json and answer.status_code != 406, (rule, answer.status_code)
            seen += 1
    assert seen > 15


def refused(site: Site, schema: str, body: dict[str, Any], answer: Any) -> tuple[int, bool]:
    """The status of the answer, and whether the document allows the body."""
    document = site.client.get("/openapi.json").get_json()
    named = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return answer.status_code, Draft202012Validator(named).is_valid(body)


@pytest.mark.parametrize("options", OPTIONS, ids=json.dumps)
def test_an_option_is_400_where_the_document_forbids_it_and_else_422(
    site: Site, options: dict[str, Any]
) -> None:
    form = as_form(options_part(options), ("images", "a.png", b"x"))
    answer = site.client.post("/v1/batches", **form, headers=site.bearer)
    status, allowed = refused(site, "Options", options, answer)
    assert status == (422 if allowed else 400), answer.text


@pytest.mark.parametrize("asked", RESCORES, ids=json.dumps)
def test_a_rescoring_is_400_where_the_document_forbids_it_and_else_422(
    site: Site, asked: dict[str, Any]
) -> None:
    batch = site.submit(["a.png"])["id"]
    site.decide([("defect", 0.9, None)])
    answer = site.client.post(f"/v1/batches/{batch}/rescore", json=asked, headers=site.bearer)
    status, allowed = refused(site, "RescoreRequest", asked, answer)
    assert status == (422 if allowed else 400), answer.text
