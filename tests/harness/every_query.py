"""Every query that the API can issue: each GET of its document, alone and with each value of each query parameter."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.harness.application import Application

_NOT_ASKED = ("/thumbnail", "/events")  # they wait for a worker, or for a change
_NO_FILTER = {"cursor", "limit", "wait", "format", "spreadsheet"}
VALUES: Mapping[str, tuple[str, ...]] = {
    "all": ("true",),
    "action": ("batch.cancel", "key.create,key.rotate"),
    "after": (),
    "before": ("review",),
    "batch_id": ("bat_none",),
    "created_after": ("2126-01-01T00:00:00Z", "2001-01-01T00:00:00Z"),
    "created_before": ("2001-01-01T00:00:00Z", "2126-01-01T00:00:00Z"),
    "custom_id": ("c-7", "none"),
    "drifted": ("true",),
    "key_id": ("key_none",),
    "line": ("A3", "none"),
    "lot": ("lot-3", "none"),
    "max_score": ("0.001",),
    "metadata": ("=shift=late",),
    "min_score": ("0.999",),
    "model_id": ("mdl_none",),
    "object_id": ("bat_none",),
    "operator": ("none",),
    "order": ("none",),
    "origin": ("predict",),
    "part_id": ("SN-7", "none"),
    "q": ("7.jpg", "none"),
    "source": ("band", "guard,chosen"),
    "sort": ("seq", "score", "-score"),
    "station": ("none",),
    "tenant": ("*", "other"),
    "verdict": ("defect", "review,no_defect"),
    "view": ("view-1", "none"),
    "window": ("3600",),
}
BIG = (
    "attempts", "audit_entries", "batch_events", "batches", "chunks", "items", "opinions", "parts", "review_entries",
    "shadow_scores",
    "webhook_attempts", "webhook_deliveries",
)  # fmt: skip
_WHOLE = re.compile(rf"(?:Seq Scan on|SCAN) ({'|'.join(BIG)})\b(?! USING)")


def urls(app: Application, places: Mapping[str, str]) -> Iterator[str]:
    """Each GET with the ids of `places` in its path. Raises KeyError for a parameter that has no value here."""
    for template, operations in sorted(app.get("/openapi.json")["paths"].items()):
        if "get" not in operations or not template.startswith("/v1/") or template.endswith(_NOT_ASKED):
            continue
        path = template.format(**places)
        yield path
        for parameter in operations["get"].get("parameters", []):
            if parameter["in"] == "query" and parameter["name"] not in _NO_FILTER:
                queries = _queries(parameter)
                if template.endswith("/results") and parameter["name"] == "after":
                    queries = iter([f"after={places['item_id']}"])  # of a diff it is a verdict
                yield from (f"{path}?{query}" for query in queries)


def _queries(parameter: Mapping[str, Any]) -> Iterator[str]:
    name = parameter["name"]
    schema = parameter["schema"]
    choices = schema.get("items", schema).get("enum", [])
    for value in VALUES[name] if name in VALUES or not choices else choices:
        yield f"{name}.{value[1:]}" if value.startswith("=") else f"{name}={value}"


def whole_scans(plan: str) -> list[str]:
    """The big tables that a plan reads from their beginning to their end."""
    return _WHOLE.findall(plan)
