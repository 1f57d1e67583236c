"""The API document is complete, valid, and true of what the application answers."""

import ast
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from werkzeug.exceptions import ImATeapot

from shared import errors
from shared.contract.problem_codes import ITEM_CODES, REQUEST_CODES, cause_and_remedy
from tests.harness.site import Site
from web.http import problems
from web.openapi.document import UNDOCUMENTED

ROOT = Path(__file__).parents[4]


@pytest.fixture
def document(site: Site) -> dict[str, Any]:
    body: dict[str, Any] = site.client.get("/openapi.json").get_json()
    return body


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_a_schema_has_a_plain_name(document: dict[str, Any]) -> None:
    """Two types of one name would get those of their modules as well."""
    assert [name for name in document["components"]["schemas"] if "__" in name] == []


def test_a_bound_is_said_in_a_word_of_json_schema(document: dict[str, Any]) -> None:
    """A bound that pydantic cannot translate, such as one behind a reader of its own, stands there as `ge`."""
    words = {name for schema in schemas(document) for name in schema}
    assert {"minimum", "maximum", "minLength"} <= words
    assert words & {"ge", "gt", "le", "lt", "min_length", "max_length", "multiple_of"} == set()


def schemas(of: Any) -> Iterator[dict[str, Any]]:
    """Every schema that has a type, wherever it stands."""
    if isinstance(of, dict):
        if isinstance(of.get("type"), str | list):
            yield of
        of = list(of.values())
    for each in of if isinstance(of, list) else ():
        yield from schemas(each)


def test_every_route_is_documented_or_left_out_on_purpose(site: Site) -> None:
    for rule in site.app.url_map.iter_rules():
        documented = hasattr(site.app.view_functions[rule.endpoint], "operation")
        left_out = rule.endpoint.partition(".")[0] in UNDOCUMENTED
        assert documented != left_out, rule


def test_a_scope_is_asked_for_wherever_the_view_asks_for_it(document: dict[str, Any]) -> None:
    open_to_all = {
        path
        for path, operations in document["paths"].items()
        if any(not operation["security"] for operation in operations.values())
    }
    assert open_to_all == {"/livez", "/readyz", "/v1/session"}


def strict(schema: Any, components: dict[str, Any]) -> Any:
    """The schema with references put in, and no member allowed that it does not name."""
    if isinstance(schema, list):
        return [strict(entry, components) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return strict(components[schema["$ref"].rpartition("/")[2]], components)
    made = {name: strict(value, components) for name, value in schema.items()}
    if "properties" in made and isinstance(made["properties"], dict) and made.get("type") == "object":
        made["additionalProperties"] = False
    return made


def check(site: Site, method: str, path: str, template: str, expect: int = 200, **call: Any) -> Any:
    """Make a call and hold status, media type, headers and body against the document."""
    document = site.client.get("/openapi.json").get_json()
    headers = {**site.bearer, **call.pop("headers", {})}
    answer = site.client.open(path, method=method, headers=headers, **call)
    responses = document["paths"][template][method.lower()]["responses"]
    assert answer.status_code == expect, answer.text
    assert str(expect) in responses
    response = responses[str(expect)]
    content = response.get("content", {})
    if not content:
        assert answer.data == b""
        return None
    assert answer.mimetype in {media.partition(";")[0] for media in content}
    assert "X-Request-Id" in answer.headers
    schema = content.get(answer.mimetype, {}).get("schema")
    if schema is not None:
        Draft202012Validator(strict(schema, document["components"]["schemas"])).validate(answer.json)
    return answer.json if answer.is_json else answer.data


def test_answers_about_batches_are_what_the_document_says(site: Site) -> None:
    form = {"options": "{}", "images": [(io.BytesIO(b"x"), "a.png"), (io.BytesIO(b"y"), "cut.png")]}
    batch = check(
        site, "POST", "/v1/batches", "/v1/batches", 202, data=form, headers={"Idempotency-Key": "once"}
    )
    this, template = f"/v1/batches/{batch['id']}", "/v1/batches/{batch_id}"
    check(site, "GET", this, template)
    check(site, "DELETE", this, template, 409)
    site.decide([("defect", 0.93, None), (None, None, "corrupt_image")])
    batch = check(site, "GET", this, template)
    assert (batch["verdicts"]["defect"], batch["outcome"]) == (1, "partial")
    check(site, "GET", "/v1/batches", "/v1/batches")
    check(site, "POST", f"{this}/cancel", f"{template}/cancel", 409)
    check(site, "DELETE", this, template, 204)
    check(site, "GET", this, template, 404)


def test_answers_about_webhooks_are_what_the_document_says(site: Site) -> None:
    top, template = "/v1/webhook-endpoints", "/v1/webhook-endpoints/{endpoint_id}"
    asked = {
        "url": "https://receiver.example/hook",
        "events": ["batch.completed", "model.activated"],
        "filters": {"verdict": ["defect"], "line": ["A3"], "metadata": {"shift": "early", "cell": 4}},
    }
    once = {"Idempotency-Key": "once"}
    made = check(site, "POST", top, top, 201, json=asked, headers=once)
    assert made["secret"].startswith("whsec_")
    this = f"{top}/{made['id']}"
    check(site, "GET", top, top)
    check(site, "GET", this, template)
    check(site, "POST", f"{this}/rotate-secret", f"{template}/rotate-secret", json={"grace": 60})
    ping = check(site, "POST", f"{this}/test", f"{template}/test", 202)
    deliveries = "/v1/webhook-deliveries"
    check(site, "GET", f"{this}/deliveries", f"{template}/deliveries")
    check(site, "GET", deliveries, deliveries)
    check(site, "GET", f"{deliveries}/{ping['id']}", deliveries + "/{delivery_id}")
    check(site, "POST", f"{deliveries}/{ping['id']}/redeliver", deliveries + "/{delivery_id}/redeliver", 409)
    past = {"since": "2026-01-01T00:00:00Z"}
    check(site, "POST", f"{this}/replay", f"{template}/replay", json=past)
    check(site, "PATCH", this, template, json={"enabled": False, "description": "MES, hall 2"})
    check(site, "POST", f"{this}/test", f"{template}/test", 409)
    check(site, "POST", f"{this}/replay", f"{template}/replay", 409, json=past)
    check(site, "DELETE", this, template, 204)
    check(site, "GET", this, template, 404)
    check(site, "POST", top, top, 422, json={"url": "http://127.0.0.1/"})


def test_answers_about_items_are_what_the_document_says(site: Site) -> None:
    batch = site.submit(["a.png", "cut.png"])
    site.decide([("defect", 0.93, None), (None, None, "corrupt_image")])
    this, template = f"/v1/batches/{batch['id']}", "/v1/batches/{batch_id}"
    items = check(site, "GET", f"{this}/items?sort=-score", f"{template}/items")["data"]
    assert [item["error"] and item["error"]["code"] for item in items] == [None, "corrupt_image"]
    check(site, "GET", f"/v1/items/{items[0]['id']}", "/v1/items/{item_id}")
    check(site, "GET", f"/v1/items/{items[1]['id']}/thumbnail", "/v1/items/{item_id}/thumbnail", 404)
    thumbnail = site.service.blobs.drawing_path("thumbnail", batch["id"], 0)
    site.service.blobs.put(thumbnail, b"\xff\xd8 a drawn JPEG")
    check(site, "GET", f"/v1/items/{items[0]['id']}/thumbnail", "/v1/items/{item_id}/thumbnail")
    check(site, "GET", f"{this}/results", f"{template}/results")
    check(site, "GET", f"{this}/results?format=csv", f"{template}/results")
    check(site, "GET", f"{this}/results?format=xml", f"{template}/results", 400)
    csv = {"Accept": "image/png"}
    check(site, "GET", f"{this}/results", f"{template}/results", 406, headers=csv)
    check(site, "GET", f"{this}/items?verdict=ugly", f"{template}/items", 400)


def test_answers_about_models_are_what_the_document_says(site: Site) -> None:
    model = check(site, "GET", "/v1/models", "/v1/models")["data"][0]
    this, template = f"/v1/models/{model['id']}", "/v1/models/{model_id}"
    check(site, "POST", f"{this}/activate", f"{template}/activate")
    check(site, "POST", f"{this}/rollback", f"{template}/rollback", 409)
    check(site, "GET", f"{this}/card", f"{template}/card")
    check(site, "POST", "/v1/models", "/v1/models", 400, data=b"no zip", content_type="application/zip")


def test_answers_about_the_installation_are_what_the_document_says(site: Site) -> None:
    check(site, "GET", "/v1/workers", "/v1/workers")
    made = check(site, "POST", "/v1/api-keys", "/v1/api-keys", 201, json={"name": "line 3"})
    check(site, "POST", "/v1/api-keys", "/v1/api-keys", 400, json={"name": "x", "scopes": ["all"]})
    check(site, "GET", "/v1/api-keys", "/v1/api-keys")
    check(site, "DELETE", f"/v1/api-keys/{made['id']}", "/v1/api-keys/{key_id}", 204)
    check(site, "POST", "/v1/session", "/v1/session", json={"key": site.key})
    check(site, "POST", "/v1/session", "/v1/session", 401, json={"key": "gng_no_no"})
    check(site, "DELETE", "/v1/session", "/v1/session", 204)
    check(site, "GET", "/livez", "/livez")
    check(site, "GET", "/readyz", "/readyz", 503)
    check(site, "GET", "/metrics", "/metrics")


def test_a_poll_that_knows_the_version_is_answered_as_documented(site: Site) -> None:
    this = f"/v1/batches/{site.submit(['a.png'])['id']}"
    known = {"If-None-Match": site.client.get(this, headers=site.bearer).headers["ETag"]}
    check(site, "GET", this, "/v1/batches/{batch_id}", 304, headers=known)


@pytest.mark.parametrize(
    ("status", "code", "form"),
    [
        (400, "invalid_options", {"options": json.dumps({"colour": "red"}), "images": b"x"}),
        (400, "no_images", {"options": "{}"}),
        (400, "unknown_part", {"holiday": b"x"}),
        (422, "invalid_archive", {"archive": b"no archive"}),
        (422, "unknown_model", {"options": json.dumps({"model": "none such"}), "images": b"x"}),
        (415, "unsupported_media_type", None),
    ],
)
def test_a_refusal_is_a_problem_with_an_explained_code(
    site: Site, status: int, code: str, form: dict[str, Any] | None
) -> None:
    call: dict[str, Any] = {"data": b"x", "content_type": "text/plain"}
    if form is not None:
        files = {name: (io.BytesIO(value), name) for name, value in form.items() if isinstance(value, bytes)}
        call = {"data": {**form, **files}, "content_type": "multipart/form-data"}
    problem = check(site, "POST", "/v1/batches", "/v1/batches", status, **call)
    assert problem["code"] == code
    assert code in REQUEST_CODES
    assert problem["type"] == f"/docs/errors/{code}"


def codes_raised() -> Iterator[str]:
    """Every code that the sources spell. The CLI's and the client's own are no part of the API."""
    for folder in ("web", "shared", "worker"):
        for path in (ROOT / folder).rglob("*.py"):
            if not {"cli", "client"} & set(path.parts[len(ROOT.parts) :]):
                for node in ast.walk(ast.parse(path.read_text())):
                    yield from (each for each in _codes_of(node) if each.replace("_", "").islower())
    yield from problems.CODES.values()
    yield problems.as_problem(ImATeapot()).code


def _codes_of(node: ast.AST) -> Iterator[str]:
    """HttpProblem(status, CODE), ItemError(CODE), refuse(CODE), code=CODE, {"code": CODE}, and class bodies."""
    found: list[ast.expr] = []
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        places = {
            "HttpProblem": 1,
            "Refusal": 1,
            "ItemError": 0,
            "refuse": 0,
            "_part_refused": 1,
            "_key_refused": 1,
        }
        place = places.get(name, len(node.args))
        found = node.args[place : place + 1]
        found += [keyword.value for keyword in node.keywords if keyword.arg in ("code", "error_code")]
    elif isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        found = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "code"]
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found = [node.value] if any(getattr(target, "id", "") == "code" for target in targets) else []
    for expression in found:
        choices = [expression.body, expression.orelse] if isinstance(expression, ast.IfExp) else [expression]
        for part in choices:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value


def test_every_code_is_explained_and_every_explained_code_is_used() -> None:
    raised = set(codes_raised()) - {"invalid_settings"}  # that one stops the start of a process
    assert raised - {*REQUEST_CODES, *ITEM_CODES} == set()
    assert set(REQUEST_CODES) - raised == set()
    assert set(ITEM_CODES) == set(get_args(errors.ItemErrorCode))


def test_every_code_has_a_page_with_its_cause_and_its_remedy(site: Site) -> None:
    listed = site.client.get("/docs/errors").text
    for code, text in {**REQUEST_CODES, **ITEM_CODES}.items():
        cause, remedy = cause_and_remedy(text)
        assert len(cause) > 10, f"{code}: the first sentence says the cause"
        assert len(remedy) > 10, f"{code}: a sentence after the first says what to do"
        page = site.client.get(f"/docs/errors/{code}")
        assert page.status_code == 200
        said = html.unescape(re.sub(r"<[^>]+>", "", page.text))
        assert cause.replace("`", "") in said
        assert remedy.replace("`", "") in said
        assert f'href="/docs/errors/{code}"' in listed
    assert site.client.get("/docs/errors/no_such_code").status_code == 404
