"""Hooks of schemathesis: valid requests name things that exist, so that they reach more than a 404.

Loaded by its command line (SCHEMATHESIS_HOOKS). KNOWN_THINGS is a JSON file: the ids for each path parameter, a key's
secret and an artifact. Negative requests, and those that follow a link, stay as they were generated.
"""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.generation.meta import TestPhase

_RECEIVER = "https://receiver.example/gonogo"  # most generated hosts are none, or forbidden
_KNOWN = json.loads(Path(os.environ["KNOWN_THINGS"]).read_text())
_IDS = {name: itertools.cycle(ids) for name, ids in _KNOWN["ids"].items()}


def _wait_briefly(case: Any) -> None:
    """A wait of a minute is valid, but its answer comes after the time limit of the client: ask for half a second."""
    query = case.query or {}
    try:
        if float(query.get("wait", 0)) > 0.5:
            query["wait"] = 0.5
    except (TypeError, ValueError):
        return  # an invalid wait is what this case is about


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    _wait_briefly(case)
    if not case.meta.generation.mode.is_positive:
        return
    for unknowable in ("cursor", "model", "tenant"):  # a schema can't say which ones there are
        if unknowable in (case.query or {}):
            del case.query[unknowable]
    if case.operation.label == "POST /v1/session":
        case.body = {"key": _KNOWN["key"]}
    elif case.operation.label == "PUT /v1/batches/{batch_id}/manifest":
        case.body = "filename,part_id\n"
    elif case.operation.label == "POST /v1/models":
        case.body = Path(_KNOWN["artifact"]).read_bytes()
    elif case.operation.label == "POST /v1/shadows" and isinstance(case.body, dict):
        case.body.pop("model", None)
        case.body["candidate"] = _KNOWN["candidate"]
    elif case.operation.label == "POST /v1/batches" and isinstance(case.body, dict):
        options = case.body.get("options")
        if isinstance(options, dict) and isinstance(options.get("webhook"), dict):
            options["webhook"]["url"] = _RECEIVER
    elif "webhook-endpoints" in case.operation.path and isinstance(case.body, dict) and "url" in case.body:
        case.body["url"] = _RECEIVER
    if case.meta.phase.name is not TestPhase.STATEFUL:
        for name in case.path_parameters or {}:
            case.path_parameters[name] = next(_IDS.get(f"{case.operation.label} {name}", _IDS[name]))
