"""Liveness and readiness."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from shared.contract.fields import About


class LivenessPayload(TypedDict):
    status: Literal["ok"]


class ReadinessPayload(TypedDict):
    status: Literal["ready", "degraded", "not_ready"]
    checks: Annotated[dict[str, str], About("`ok`, or what is wrong, for each part")]
