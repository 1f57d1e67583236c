"""Liveness and readiness."""

from typing import Annotated, Literal, TypedDict


class LivenessPayload(TypedDict):
    status: Literal["ok"]


class ReadinessPayload(TypedDict):
    status: Literal["ready", "not_ready"]
    checks: Annotated[dict[str, str], "`ok`, or what is wrong, for each part"]
