"""Escape and false-reject rates from a stratified audit, with limits that hold at the stated confidence.

The items of a period fall into three strata by the model's verdict. In each, some were reviewed, by an order that does
not depend on the truth. So the number of defects among the reviewed ones bounds the number in the stratum exactly
(Clopper and Pearson); a stratum that was reviewed as a whole is known. The limits of a rate take the least favourable
corner of the strata's limits, and the strata share the chance of error (Bonferroni). This is wider than an
approximation by the normal distribution, which misses the truth far too often where the sample holds no defect or one:
`python -m training.proof.audits` prints both.
"""

import functools
import math
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from typing_extensions import TypedDict

from shared.contract.fields import About

CONFIDENCE = 0.95
_STEPS = 60
_TINY = 1e-300


class RatePayload(TypedDict):
    """A rate and its limits."""

    value: Annotated[float | None, About("null while nothing tells it")]
    low: float
    high: float
    confidence: Annotated[float, About("the chance that the limits hold the truth is at least this")]


class Stratum(NamedTuple):
    """Items of one verdict: how many, how many of them were reviewed, and how many of those are hits."""

    items: int
    reviewed: int
    hits: int

    def others(self) -> "Stratum":
        """The same stratum, where the reviewed items that are no hits are the hits."""
        return Stratum(self.items, self.reviewed, self.reviewed - self.hits)

    def value(self) -> float:
        """The most likely number of hits; half of the items where none was reviewed."""
        return self.items * (self.hits / self.reviewed if self.reviewed else 0.5)

    def limits(self, error: float) -> tuple[float, float]:
        """The number of hits at least and at most, each with this chance of error."""
        unseen = self.items - self.reviewed
        if unseen <= 0:
            return float(self.hits), float(self.hits)
        low = self.items * lower(self.hits, self.reviewed, error)
        high = self.items * upper(self.hits, self.reviewed, error)
        return max(float(self.hits), low), min(float(self.hits + unseen), high)


def escape_rate(passed: Stratum, refused: Stratum, review: Stratum) -> RatePayload:
    """The share of the defects that passed. Hits are defects."""
    return share(passed, [refused, review])


def false_reject_rate(passed: Stratum, refused: Stratum, review: Stratum) -> RatePayload:
    """The share of the good items that were refused. Hits are defects."""
    return share(refused.others(), [passed.others(), review.others()])


def share(wrong: Stratum, right: Sequence[Stratum]) -> RatePayload:
    """The share of all hits that are in the stratum `wrong`."""
    unknown = [each for each in (wrong, *right) if each.items > each.reviewed]
    error = (1 - CONFIDENCE) / 2 / max(1, len(unknown))
    least, most = wrong.limits(error)
    others = [each.limits(error) for each in right]
    low = _part(least, math.fsum(high for _, high in others), 0.0)
    high = _part(most, math.fsum(low for low, _ in others), 1.0)
    told = wrong.reviewed > 0 or wrong.items == 0
    value = _part(wrong.value(), math.fsum(each.value() for each in right), -1.0)
    return {
        "value": value if told and value >= 0 else None,
        "low": low,
        "high": high,
        "confidence": CONFIDENCE,
    }


def _part(wrong: float, right: float, unknown: float) -> float:
    return wrong / (wrong + right) if wrong + right > 0 else unknown


def upper(hits: int, cases: int, error: float) -> float:
    """The largest share that so many hits allow: a larger one gives so few with less chance than `error`."""
    if hits >= cases:
        return 1.0
    return _quantile(1 - error, hits + 1, cases - hits)


def lower(hits: int, cases: int, error: float) -> float:
    """The smallest share that this many hits allow, one-sided."""
    return 0.0 if hits <= 0 else _quantile(error, hits, cases - hits + 1)


@functools.lru_cache(maxsize=4096)  # most groups of a page have not changed since the page before
def _quantile(chance: float, a: int, b: int) -> float:
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if beta_below(middle, a, b) < chance:
            low = middle
        else:
            high = middle
        if high - low < 1e-9 * min(high, 1 - low):
            break
    return (low + high) / 2


def beta_below(x: float, a: int, b: int) -> float:
    """The chance that a beta variable with parameters a and b is below x."""
    if x <= 0.0 or x >= 1.0:
        return min(1.0, max(0.0, x))
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: int, b: int) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1.0 / _away_from_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = found
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            found *= d * c
        if abs(found - before) <= 1e-14 * abs(found):
            break
    return found


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
