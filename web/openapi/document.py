"""The API's own description, OpenAPI 3.1, made from the routes, their operations and the payload types."""

import re
from collections.abc import Iterable, Iterator

from flask import Flask, current_app, request
from werkzeug.routing import Rule

from shared.contract.events import (
    SUMMARIES,
    DriftEventPayload,
    EventPayload,
    ItemEventPayload,
    ItemsEventPayload,
    ModelEventPayload,
    PartEventPayload,
)
from shared.contract.problems import Problem
from shared.contract.webhook_endpoints import EndpointEventPayload
from web.http import cookies
from web.http.idempotency import HEADER
from web.http.operations import Operation
from web.openapi.examples import add_example, examples
from web.openapi.links import links
from web.openapi.schemas import Schema, Schemas

# Pages are for people; the description does not describe itself.
UNDOCUMENTED = {"pages", "review", "openapi"}
_PROBLEM = "application/problem+json"
_REASONS = {
    200: "Done", 201: "Made", 202: "Accepted", 204: "Done, nothing to say", 304: "Nothing has changed",
    400: "The request can't be used", 401: "No live key", 403: "The key lacks the scope", 404: "There is none",
    406: "No such form", 409: "Not in this state", 410: "It was there, and is deleted",
    413: "Too large", 415: "Another media type is expected",
    422: "Understood, but it can't be done", 429: "Over your quota or rate limit", 503: "Not now",
}  # fmt: skip
_ANSWER_HEADERS = {
    "ETag": "the version of what was answered; send it back in If-None-Match",
    "Location": "where the batch or delivery is",
    "RateLimit": "the rate limit of the key: requests left `r`, and the seconds `t` until it begins again",
    "RateLimit-Policy": "the rate limit of the key: requests `q` in a window of `w` seconds",
    "Retry-After": "seconds to wait before the next try",
    "WWW-Authenticate": "Bearer",
}
_BODIES = (
    EventPayload,
    ItemEventPayload,
    ItemsEventPayload,
    PartEventPayload,
    DriftEventPayload,
    ModelEventPayload,
    EndpointEventPayload,
)
_PROBLEM_HEADERS = {
    401: ["WWW-Authenticate"],
    409: ["Retry-After"],
    429: ["Retry-After"],
    503: ["Retry-After"],
}
_TAGS = {
    "batches": "Submissions: the unit of completion and of webhooks.",
    "steering": "Pause a batch, go on with it, and judge its failed items again.",
    "rescoring": "Judge an ended batch by another threshold.",
    "reruns": "Judge the images of an ended batch by another model version, and compare.",
    "drafts": "A batch that is made by several requests.",
    "events": "The changes of a batch, as they come.",
    "items": "A position in a batch, with its verdict.",
    "drawings": "Thumbnail, whole image and heatmap of an item, drawn at the first request.",
    "reviews": "Persons' verdicts on items, and the queue of items that persons look at.",
    "agreement": "How well the model and persons agree.",
    "parts": "All views of one part, with their common verdict.",
    "predict": "An image, answered at once.",
    "models": "Published artifacts, and which of them new batches use.",
    "shadows": "A candidate that also scores a share of the images, compared with the model in use.",
    "drift": "How far the images of a line lie from those that the model was tested on.",
    "workers": "The inference processes.",
    "api_keys": "Keys of the caller's tenant, or of the tenant that an operator names.",
    "quotas": "Bounds of a tenant, and how much of them it uses.",
    "webhook_endpoints": "Receivers of a tenant's events.",
    "webhook_deliveries": "Events that are owed to receivers, and the tries so far.",
    "audit": "The audit trail: who did what to which object.",
    "session": "Key to cookie, for the pages; signing out ends the session on the server.",
    "health": "For probes and monitoring; without a key.",
}
_INTRODUCTION = (
    "A batch of part images in, a verdict for each out. Send `Authorization: Bearer KEY`. JSON is UTF-8, times "
    "are RFC 3339 in UTC. Errors are RFC 9457 problems with a stable `code`, explained under `/docs/errors`. "
    "Clients must ignore members they don't know. A request that breaks this document gets 400; one that keeps to "
    "it, and whose values do not fit each other or what the service has, gets 422. A path that has one form answers "
    "in it, whatever `Accept` asks for; results and events answer 406 where they have no such form."
)


def document() -> Schema:
    """The whole document of the running application, made once but for its server: the prefix of a proxy."""
    known: Schema = current_app.extensions.setdefault("gonogo.openapi", {})
    if not known:
        known.update(_document(current_app))
    return {**known, "servers": [{"url": request.script_root or "/"}]}


def _document(app: Flask) -> Schema:
    views: Schema = dict(app.view_functions)
    rules = [
        (rule, views[rule.endpoint])
        for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
        if hasattr(views[rule.endpoint], "operation")
    ]
    schemas, paths = Schemas(_kinds(view.operation for _, view in rules)), dict[str, Schema]()
    known = examples()
    for rule, view in rules:
        path = paths.setdefault(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), {})
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            made = _operation(rule, method, view.operation, getattr(view, "scope", None), schemas)
            for status, kind in view.operation.answers.items():
                if found := links(kind, [rule for rule, _ in rules]):
                    made["responses"][str(status)]["links"] = found
            add_example(made, known.get(made["operationId"]))
            path[method.lower()] = made
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gonogo", "version": app.config["GONOGO_VERSION"], "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "webhooks": _webhooks(schemas),
        "components": {
            "schemas": schemas.named,
            "headers": {
                "X-Request-Id": {"description": "yours, or one of ours", "schema": {"type": "string"}},
                **{
                    name: {"description": _ANSWER_HEADERS[name], "schema": {"type": "string"}}
                    for name in ("RateLimit", "RateLimit-Policy")
                },
            },
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "an API key"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": cookies.SECURE,
                    "description": f"for the pages: POST /v1/session; without TLS the cookie is `{cookies.PLAIN}`; "
                    "writing needs an Origin of this host",
                },
            },
        },
    }


def _kinds(operations: Iterable[Operation]) -> Iterator[object]:
    """Every type that a body, an answer or a query has."""
    yield from (Problem, *_BODIES)
    for described in operations:
        yield described.query
        for kind in (*described.answers.values(), *described.body.values()):
            if kind is not None and not isinstance(kind, str | tuple):
                yield kind


def _operation(rule: Rule, method: str, described: Operation, scope: str | None, schemas: Schemas) -> Schema:
    tag, _, name = rule.endpoint.partition(".")
    made: Schema = {"operationId": name, "tags": [tag], "summary": described.summary}
    parameters = [
        {"name": place, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for place in rule.arguments
    ]
    required = described.query.__required_keys__
    parameters += [
        {**_query(each, schema), "required": each in required}
        for each, schema in schemas.properties(described.query).items()
    ]
    request_headers = dict(described.headers)
    if 304 in described.answers:
        request_headers["If-None-Match"] = "the ETag you know: 304 where nothing has changed since"
    parameters += [_header(each, about) for each, about in request_headers.items()]
    if parameters:
        made["parameters"] = parameters
    if described.body:
        content = {media: _part(kind, schemas) for media, kind in described.body.items()}
        needed = any(getattr(kind, "__required_keys__", True) for kind in described.body.values())
        made["requestBody"] = {"required": needed, "content": content}
    if method == "POST" and described.repeated:
        made["description"] = f"Idempotent by itself: {described.repeated}."
    elif method == "POST" and described.refuses_key:
        made["description"] = f"A request with an `{HEADER}` is refused: a repetition acts again."
    made["responses"] = _responses(described, scope, schemas)
    made["security"] = [{"key": [scope]}, {"session": [scope]}] if scope else []
    return made


def _query(name: str, schema: Schema) -> Schema:
    """A query parameter; a list is written comma-separated."""
    made: Schema = {
        "name": name,
        "in": "query",
        "description": schema.get("description", ""),
        "schema": schema,
    }
    if schema.get("type") == "array":
        made |= {"style": "form", "explode": False}
    if schema.get("type") == "object":
        # A parameter for each member, which `explode` makes of an object: `metadata.KEY=VALUE`.
        members = {f"^{name}\\..+$": schema.get("additionalProperties", {})}
        made |= {"style": "form", "explode": True}
        made["schema"] = {
            "type": "object", "patternProperties": members, "additionalProperties": False, "minProperties": 1,
        }  # fmt: skip
    if "examples" in schema:
        made["example"] = schema["examples"][0]
    return made


def _header(name: str, about: str | tuple[str, Schema]) -> Schema:
    """A request header: a sentence, or a sentence and the keywords of its schema."""
    sentence, keywords = (about, {}) if isinstance(about, str) else about
    return {"name": name, "in": "header", "description": sentence, "schema": {"type": "string", **keywords}}


def _part(kind: object, schemas: Schemas) -> Schema:
    """A request body: a form or object by its type, bytes by a sentence."""
    if isinstance(kind, str):
        return {"schema": {"description": kind}}
    part: Schema = {"schema": schemas.of(kind)}
    if (example := schemas.example(kind)) is not None:
        part["example"] = example
    return part


def _responses(described: Operation, scope: str | None, schemas: Schemas) -> Schema:
    made: Schema = {}
    for status, kind in described.answers.items():
        names = {202: ["Location", "Retry-After"], 304: ["ETag"], 503: ["Retry-After"]}.get(status, [])
        if 304 in described.answers and status == 200:
            names = ["ETag", "Retry-After"]
        headers = {name: _ANSWER_HEADERS[name] for name in names}
        made[str(status)] = _response(
            status, {**headers, **described.answer_headers}, _content(kind, schemas)
        )
    statuses = {400, *described.problems, *((401, 403, 429) if scope else ())}
    problem = {_PROBLEM: {"schema": schemas.of(Problem)}}
    for status in sorted(statuses):
        headers = {name: _ANSWER_HEADERS[name] for name in _PROBLEM_HEADERS.get(status, [])}
        made[str(status)] = _response(status, headers, problem)
    if scope:  # a request of a key; 401 has none
        for answered, response in made.items():
            if answered != "401":
                for name in ("RateLimit", "RateLimit-Policy"):
                    response["headers"][name] = {"$ref": f"#/components/headers/{name}"}
    made["default"] = {"description": "Any other error", "content": problem}
    return made


def _response(status: int, headers: dict[str, str], content: Schema) -> Schema:
    made: Schema = {"description": _REASONS[status]}
    made["headers"] = {
        name: {"description": about, "schema": {"type": "string"}} for name, about in headers.items()
    }
    made["headers"]["X-Request-Id"] = {"$ref": "#/components/headers/X-Request-Id"}
    if content:
        made["content"] = content
    return made


def _content(kind: object, schemas: Schemas) -> Schema:
    if kind is None:
        return {}
    if isinstance(kind, str | tuple):
        return {media: {} for media in ((kind,) if isinstance(kind, str) else kind)}
    return {"application/json": {"schema": schemas.of(kind)}}


def _bodies(schemas: Schemas) -> Schema:
    """The type of each event's body: a body's `type` says which events it tells."""
    told = {kind: schemas.properties(kind)["type"] for kind in _BODIES}
    return {event: kind for kind, type_ in told.items() for event in type_.get("enum") or [type_["const"]]}


def _webhooks(schemas: Schemas) -> Schema:
    """The messages that the service sends, by event."""
    headers = {
        "webhook-id": "the same over all tries of one message",
        "webhook-timestamp": "seconds since the epoch, of this try",
        "webhook-signature": "v1, and an HMAC-SHA256 in base64, as Standard Webhooks 1.0 says; two, with a space "
        "between, while a secret is being replaced",
    }
    return {
        event: {
            "post": {
                "operationId": event.replace(".", "_"),
                "summary": SUMMARIES[event],
                "parameters": [_header(name, about) for name, about in headers.items()],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": schemas.of(kind)}},
                },
                "responses": {"2XX": {"description": "Received; any other answer is tried again"}},
            }
        }
        for event, kind in _bodies(schemas).items()
    }
