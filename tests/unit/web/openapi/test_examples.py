"""Each operation has a request and an answer in the docs, and they are those of the application."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.harness import api_examples, api_page
from tests.harness.site import Site
from tests.unit.web.openapi.test_document import strict

LEFT_OUT = {"predict_alias": "another path of /v1/predict"}
AGAIN = "the examples are behind: python -m tests.harness.api_examples"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return api_examples.record(tmp_path_factory.mktemp("examples"))


def test_the_examples_are_what_the_application_answers(recorded: dict[str, Any]) -> None:
    kept = json.loads(api_examples.EXAMPLES.read_text(encoding="utf-8"))
    assert kept == recorded, AGAIN
    assert api_examples.EXAMPLES.read_text(encoding="utf-8") == api_examples.text_of(recorded), AGAIN


def test_every_operation_has_an_example_that_fits_its_schema(site: Site) -> None:
    document = site.client.get("/openapi.json").get_json()
    kept = json.loads(api_examples.EXAMPLES.read_text(encoding="utf-8"))
    operations = {
        each["operationId"]: each for methods in document["paths"].values() for each in methods.values()
    }
    assert set(operations) - set(kept) == {*LEFT_OUT}, "give it a request in tests/harness/api_examples.py"
    for name, example in kept.items():
        content = operations[name]["responses"][str(example["status"])].get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is not None:
            Draft202012Validator(strict(schema, document["components"]["schemas"])).validate(example["body"])
            assert content["application/json"]["example"] == example["body"]
        assert operations[name]["x-codeSamples"][0]["source"] == example["request"]


def test_the_pages_show_the_request_and_the_answer_of_each_operation(site: Site) -> None:
    document = site.client.get("/openapi.json").get_json()
    kept = json.loads(api_examples.EXAMPLES.read_text(encoding="utf-8"))
    assert api_examples.PAGE.read_text(encoding="utf-8") == api_page.page(document, kept), AGAIN
    served = site.client.get("/docs").text
    assert served.count("<h4>Example</h4>") == len(kept)
    assert served.count("<summary>Answer: ") == len(kept)
