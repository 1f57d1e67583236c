"""The operating point: the threshold and the review band that turn a score into a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from typing_extensions import TypedDict

from shared.contract.fields import About
from shared.errors import GonogoError


class InvalidOperatingPoint(GonogoError):
    """The threshold and the review band do not fit together, or a value is not a number from 0 to 1."""

    code = "invalid_operating_point"


class OperatingPointPayload(TypedDict):
    threshold: Annotated[float, About("a score from here on is a defect")]
    review_band: Annotated[list[float], About("lowest and highest score that a person must look at")]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """`review` for a score from `review_low` to `review_high`, both included; else `defect` from `threshold` on.

    An instance has finite values with 0 <= review_low <= threshold <= review_high <= 1; anything else raises
    InvalidOperatingPoint. A band with equal ends is empty.
    """

    threshold: float
    review_low: float
    review_high: float

    def __post_init__(self) -> None:
        values = (self.review_low, self.threshold, self.review_high)
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InvalidOperatingPoint(f"{value!r} is not a number from 0 to 1")
        if not 0 <= self.review_low <= self.review_high <= 1:
            raise InvalidOperatingPoint(
                f"review_band [{self.review_low}, {self.review_high}] must lie within 0 to 1, the lower end first"
            )
        if not self.review_low <= self.threshold <= self.review_high:
            raise InvalidOperatingPoint(
                f"threshold {self.threshold} must lie within review_band [{self.review_low}, {self.review_high}]; "
                "a part that is not given keeps its present value"
            )

    def changed(
        self, threshold: float | None = None, review_band: Sequence[float] | None = None
    ) -> "OperatingPoint":
        """This point with the given parts in place of its own. Raises InvalidOperatingPoint if they do not fit."""
        low, high = (self.review_low, self.review_high) if review_band is None else review_band
        return OperatingPoint(self.threshold if threshold is None else threshold, low, high)

    def payload(self) -> OperatingPointPayload:
        return {"threshold": self.threshold, "review_band": [self.review_low, self.review_high]}
