"""The shares of items that persons are asked to review, and why an item is among them."""

from dataclasses import dataclass
from typing import Any

from shared.contract.reviews import BAND, GUARD, PASSED, REFUSED
from shared.contract.states import UNLIKE, Verdict
from shared.lifecycle import sampling


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of the passed and the refused items that are audited, and of the items that get a second opinion."""

    passed: float
    refused: float
    second: float


def source_of(item: Any, shares: Shares) -> tuple[str, float] | None:
    """Why an item is in the queue, and the chance of that; None where it is not."""
    if item.verdict == Verdict.REVIEW:
        reasons = (item.reasons or "").split(",")
        return (GUARD if any(reason in reasons for reason in UNLIKE) else BAND), 1.0
    is_passed = item.verdict == Verdict.NO_DEFECT
    source, share = (PASSED, shares.passed) if is_passed else (REFUSED, shares.refused)
    return (source, share) if sampling.is_sampled(item.batch_id, item.seq, share) else None
