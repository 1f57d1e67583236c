"""How many parts the validation part needs for a promised escape rate."""

import math
from collections.abc import Sequence

from training.data.records import DataError, Record
from training.proof.bounds import cases_needed
from training.proof.operating_point import Costs, defective_parts, promise_text

MOST = 0.5  # of the defective parts: as many are needed to learn from, and to measure
_SPARE = 3  # shares of images are nearly shares of parts, and not exactly


def validation_share(records: Sequence[Record], costs: Costs, usual: float) -> float:
    """The share of `records` that validates: the usual one, or more where a promise needs it.

    Raises DataError, which says how many more defective parts are needed, where that were over a half.
    """
    if costs.max_escape_rate is None:
        return usual
    parts = defective_parts(records)
    needed = cases_needed(costs.max_escape_rate, costs.confidence) + _SPARE
    if needed > MOST * parts:
        raise DataError(promise_needs(costs, parts))
    return max(usual, needed / parts)


def promise_needs(costs: Costs, parts: int) -> str:
    """How many more defective parts than `parts` a promise needs."""
    assert costs.max_escape_rate is not None
    needed = math.ceil((cases_needed(costs.max_escape_rate, costs.confidence) + _SPARE) / MOST)
    return f"{promise_text(costs)}, and as many to learn from; here are {parts}: {needed - parts} more are needed"
