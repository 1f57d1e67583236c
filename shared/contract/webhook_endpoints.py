"""Webhook endpoints: receivers of a tenant's events."""

from collections.abc import Mapping
from typing import Annotated, Literal, NotRequired, cast

from annotated_types import Ge, Le, Len, MinLen
from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.events import BATCH_EVENTS, ENDPOINT_DISABLED, ENDPOINT_EVENTS, TEST_PING
from shared.contract.fields import About, Label, Moment, OneOf, Rule, Time, closed
from shared.contract.filters import EndpointFilters
from shared.contract.options import WebhookSecret, WebhookUrl
from shared.contract.states import DeliveryStatus, DisabledReason
from shared.json_text import JsonObject
from shared.store.records import EndpointRecord

# An endpoint is disabled by the failed try that makes both true: so many failures in a row, over so long a time.
DISABLE_AFTER_FAILURES, DISABLE_AFTER_S = 10, 3 * 86_400.0
WARN_AFTER_FAILURES = 3
ENDPOINT_FAILING = "endpoint_failing"
DEFAULT_GRACE_S, LONGEST_GRACE_S = 86_400.0, 30 * 86_400.0
FORMATS = ("standard", "cloudevents")
_REPLAYED = (DeliveryStatus.DELIVERED, DeliveryStatus.EXHAUSTED)


def _are_different(values: list[str]) -> str | None:
    return None if len({*values}) == len(values) else "an entry is named twice"


_Events = Annotated[
    list[Annotated[str, OneOf(ENDPOINT_EVENTS)]], MinLen(1), Rule(_are_different, uniqueItems=True)
]


@closed
class EndpointRequest(TypedDict):
    """A new endpoint."""

    url: WebhookUrl
    description: NotRequired[Annotated[Label | None, About("what people call it", examples=["MES, hall 2"])]]
    events: NotRequired[
        Annotated[
            _Events,
            About("the events to send", default=list(BATCH_EVENTS), examples=[["batch.completed"]]),
        ]
    ]
    filters: NotRequired[Annotated[EndpointFilters, About("which of these events to send", default={})]]
    format: NotRequired[
        Annotated[
            str,
            OneOf(FORMATS),
            About("the body: as Standard Webhooks says, or a batch of CloudEvents", default="standard"),
        ]
    ]
    secret: NotRequired[
        Annotated[
            WebhookSecret | None,
            About("whsec_ and 24 to 64 bytes in base64; the service makes one if absent"),
        ]
    ]


@closed
class EndpointChange(TypedDict, total=False):
    """Members that are absent stay as they are."""

    url: Annotated[WebhookUrl, About("deliveries that wait go to the new URL")]
    description: Label | None
    events: _Events
    filters: Annotated[EndpointFilters, About("in place of the filters before", examples=[{"line": ["A3"]}])]
    format: Annotated[str, OneOf(FORMATS)]
    enabled: Annotated[
        bool,
        About("true: try held deliveries now; false: hold what waits, and owe no further event"),
    ]


@closed
class SecretRotation(TypedDict, total=False):
    """How the secret gives way to its successor."""

    grace: Annotated[
        float,
        Ge(0),
        Le(LONGEST_GRACE_S),
        About(
            "seconds in which each message carries the old secret's signature too, after that of the new one",
            default=DEFAULT_GRACE_S,
            examples=[3600],
        ),
    ]
    secret: Annotated[WebhookSecret | None, About("the new secret; the service makes one if absent")]


@closed
class ReplayRequest(TypedDict):
    """Which deliveries of an endpoint to send again, under their own `webhook-id`s."""

    since: Annotated[Moment, About("owed at this time or later", examples=["2026-11-24T10:00:00Z"])]
    until: NotRequired[Annotated[Moment, About("owed before this time", examples=["2126-11-24T10:00:00Z"])]]
    events: NotRequired[Annotated[_Events, About("of these events alone")]]
    status: NotRequired[
        Annotated[
            list[Annotated[str, OneOf(_REPLAYED)]],
            Len(1, 2),
            About("delivered ones, exhausted ones or both", default=[str(each) for each in _REPLAYED]),
        ]
    ]


class ReplayPayload(TypedDict):
    object: Literal["webhook_replay"]
    endpoint_id: str
    deliveries: Annotated[int, About("how many deliveries wait for a new try")]


class EndpointWarning(TypedDict):
    """Tries fail: the endpoint will be disabled."""

    code: Annotated[str, OneOf((ENDPOINT_FAILING,))]
    detail: str
    disable_at: Annotated[Time, About("a failed try from then on disables the endpoint")]


class EndpointPayload(TypedDict):
    """A receiver of a tenant's events."""

    id: str
    object: Literal["webhook_endpoint"]
    tenant: str
    url: str
    description: str | None
    events: list[str]
    filters: Mapping[str, object]
    format: Annotated[str, OneOf(FORMATS)]
    enabled: bool
    disabled_reason: Annotated[
        Annotated[str, OneOf(DisabledReason)] | None,
        About(
            "`by_request`; `gone`: the receiver answered 410; `failing`: no try succeeded for "
            f"{DISABLE_AFTER_S / 86_400:g} days, at least {DISABLE_AFTER_FAILURES} in a row"
        ),
    ]
    disabled_at: Time
    failures: Annotated[int, About("failed tries since the last success")]
    failing_since: Annotated[Time, About("the first of these tries")]
    warnings: Annotated[list[EndpointWarning], About(f"after {WARN_AFTER_FAILURES} failed tries in a row")]
    old_secret_until: Annotated[Time, About("until then, messages carry signatures of old secrets too")]
    created_at: Time
    secret: NotRequired[
        Annotated[
            str, About("in the answer to its creation, to a repetition of that, and to a rotation alone")
        ]
    ]


class EndpointEventPayload(TypedDict):
    """The body of a webhook about an endpoint: `test.ping` to itself, and others when it was disabled."""

    type: Annotated[str, OneOf((ENDPOINT_DISABLED, TEST_PING))]
    timestamp: Time
    data: EndpointPayload


def endpoint_payload(row: EndpointRecord, at: float, secret: str | None = None) -> EndpointPayload:
    """An endpoint from its row, as it is at a time; the secret where the answer shows it."""
    ends = [until for _, until in row.in_grace(at)]
    payload: EndpointPayload = {
        "id": row.id,
        "object": "webhook_endpoint",
        "tenant": row.tenant,
        "url": row.url,
        "description": row.description,
        "events": row.events.split(),
        "filters": row.filters,
        "format": row.format,
        "enabled": row.enabled,
        "disabled_reason": row.disabled_reason,
        "disabled_at": rfc3339(row.disabled_at),
        "failures": row.failures,
        "failing_since": rfc3339(row.failing_since),
        "warnings": _warnings(row),
        "old_secret_until": rfc3339(max(ends)) if ends else None,
        "created_at": rfc3339(row.created_at),
    }
    if secret is not None:
        payload["secret"] = secret
    return payload


def _warnings(row: EndpointRecord) -> list[EndpointWarning]:
    if not row.enabled or row.failing_since is None or row.failures < WARN_AFTER_FAILURES:
        return []
    at = rfc3339(row.failing_since + DISABLE_AFTER_S)
    detail = (
        f"{row.failures} tries in a row have failed since {rfc3339(row.failing_since)}; from {at} on, a failed try "
        "disables the endpoint"
    )
    return [{"code": ENDPOINT_FAILING, "detail": detail, "disable_at": at}]


def columns_of(asked: Mapping[str, object]) -> JsonObject:
    """The columns of the members that a request names."""
    columns = {
        name: value for name, value in asked.items() if name in ("url", "description", "filters", "format")
    }
    if "events" in asked:
        columns["events"] = f" {' '.join(cast('list[str]', asked['events']))} "
    return columns
