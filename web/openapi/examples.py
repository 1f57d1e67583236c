"""A request and its answer for each operation, recorded from a real application (tests/harness/api_examples.py)."""

import json
from pathlib import Path
from typing import TypedDict

from web.openapi.schemas import Schema

_FILE = Path(__file__).with_name("examples.json")


class Example(TypedDict):
    """`request` is a curl command; `body` is the answer's JSON, or its text."""

    request: str
    status: int
    headers: dict[str, str]
    body: object


def examples() -> dict[str, Example]:
    """The example of each operation, by its operationId."""
    found: dict[str, Example] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def add_example(operation: Schema, found: Example | None) -> None:
    """Put the example of an operation into its description: the answer, and the request as a code sample."""
    if found is None:
        return
    operation["x-codeSamples"] = [{"lang": "Shell", "label": "curl", "source": found["request"]}]
    for media, part in operation["responses"][str(found["status"])].get("content", {}).items():
        if media.partition(";")[0] == found["headers"].get("Content-Type", "").partition(";")[0]:
            part["example"] = found["body"]
