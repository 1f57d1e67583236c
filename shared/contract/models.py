"""A model version as the contract shows it."""

from typing import Any, Literal

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import Time
from shared.contract.operating_point import OperatingPointPayload
from shared.store.records import ModelRecord


class ModelPayload(TypedDict):
    id: str
    object: Literal["model"]
    name: str
    sha256: str
    active: bool
    operating_point: OperatingPointPayload
    input: dict[str, Any]
    metrics: dict[str, Any]
    created_at: Time
    links: dict[str, str]


def model_payload(row: ModelRecord, *, active: bool, base: str = "") -> ModelPayload:
    """A model version from its row."""
    return {
        "id": row.id,
        "object": "model",
        "name": row.name,
        "sha256": row.sha256,
        "active": active,
        "operating_point": {"threshold": row.threshold, "review_band": [row.review_low, row.review_high]},
        "input": row.card.get("preprocessing", {}),
        "metrics": row.card.get("metrics", {}),
        "created_at": rfc3339(row.created_at),
        "links": {
            "card": f"{base}/v1/models/{row.id}/card",
            "activate": f"{base}/v1/models/{row.id}/activate",
        },
    }
