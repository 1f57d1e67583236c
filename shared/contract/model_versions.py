"""A model version as the contract shows it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, OneOf, Time
from shared.contract.operating_point import OperatingPointPayload
from shared.contract.states import ModelStatus
from shared.json_text import JsonObject
from shared.store.records import ModelRecord


class ModelPayload(TypedDict):
    id: str
    object: Literal["model"]
    name: str
    sha256: str
    active: Annotated[bool, About("the version that the caller's new batches use where they name none")]
    tenant: Annotated[str, About("its owner; `*` is the installation")]
    status: Annotated[str, OneOf(ModelStatus), About("only a `ready` one can be activated")]
    reason: Annotated[str | None, About("why it was refused")]
    activated_at: Annotated[
        list[Time], About("when it became active for the caller's tenant or for all, oldest first")
    ]
    guarded: Annotated[bool, About("whether it knows how its images look, and sends others to review")]
    operating_point: OperatingPointPayload
    input: JsonObject
    metrics: JsonObject
    created_at: Time
    links: dict[str, str]


def model_payload(
    row: ModelRecord, *, active: bool, activated: Sequence[float] = (), base: str = ""
) -> ModelPayload:
    """A model version from its row, and the times at which it was activated."""
    return {
        "id": row.id,
        "object": "model",
        "name": row.name,
        "sha256": row.sha256,
        "active": active,
        "tenant": row.tenant,
        "status": row.status,
        "reason": row.reason,
        "activated_at": [rfc3339(at) for at in activated],
        "guarded": row.guarded,
        "operating_point": {"threshold": row.threshold, "review_band": [row.review_low, row.review_high]},
        "input": row.card.get("preprocessing", {}),
        "metrics": row.card.get("metrics", {}),
        "created_at": rfc3339(row.created_at),
        "links": {
            "card": f"{base}/v1/models/{row.id}/card",
            "activate": f"{base}/v1/models/{row.id}/activate",
            "rollback": f"{base}/v1/models/{row.id}/rollback",
        },
    }
