"""docs/api.md: the API for readers, generated from the served document and its recorded examples."""

import json
from collections.abc import Iterator
from typing import Any

_HEAD = """# The HTTP API

Generated from `/openapi.json` and from answers of a real application: `python -m tests.harness.api_examples`. The
service shows the same under `/docs`. `URL` is the service and `KEY` an API key; ids, times, hashes and secrets are
examples.
"""
_LONGEST = 40  # lines of an answer


def page(document: dict[str, Any], examples: dict[str, Any]) -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *_parts(document, examples)])


def _parts(document: dict[str, Any], examples: dict[str, Any]) -> Iterator[str]:
    for tag in document["tags"]:
        title = tag["name"].replace("_", " ").capitalize()
        yield f"## {title}\n\n{tag['description']}\n"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(
                        method.upper(), path, operation, examples.get(operation["operationId"])
                    )


def _operation(method: str, path: str, operation: dict[str, Any], example: Any) -> Iterator[str]:
    scope = operation["security"][0]["key"][0] if operation["security"] else None
    yield f"### `{method} {path}`\n"
    yield f"{operation['summary']}. {f'Scope `{scope}`.' if scope else 'No key is needed.'}\n"
    asked = [each for each in operation.get("parameters", []) if each["in"] in ("query", "header")]
    if asked:
        yield "| parameter | |\n|---|---|"
        yield from (
            f"| `{each['name']}` | {each.get('description', '').replace('|', '/')} |" for each in asked
        )
        yield ""
    statuses = [status for status in operation["responses"] if status not in ("default",)]
    yield f"Answers: {', '.join(statuses)}.\n"
    if example is not None:
        yield f"```sh\n{example['request']}\n```\n"
        yield f"```\n{_answer(example)}\n```\n"


def _answer(example: Any) -> str:
    head = [str(example["status"]), *(f"{name}: {value}" for name, value in example["headers"].items())]
    body = example["body"]
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    lines = text.replace("\r", "").rstrip().split("\n")
    cut = [*lines[:_LONGEST], "…"] if len(lines) > _LONGEST else lines
    return "\n".join([*head, "", *cut]).rstrip()
