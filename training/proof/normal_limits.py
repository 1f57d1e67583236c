"""Limits of a rate by the normal distribution, which exact ones are compared with."""

import math
from collections.abc import Sequence

from shared.contract.rates import Stratum

_Z = 1.959964


def normal(wrong: Stratum, right: Sequence[Stratum]) -> tuple[float, float]:
    """The limits that the normal distribution gives (delta method)."""
    e, t = wrong.value(), math.fsum(each.value() for each in right)
    if e + t == 0:
        return 0.0, 1.0
    variance = (t**2 * _variance(wrong) + e**2 * math.fsum(map(_variance, right))) / (e + t) ** 4
    value = e / (e + t)
    return max(0.0, value - _Z * math.sqrt(variance)), min(1.0, value + _Z * math.sqrt(variance))


def _variance(of: Stratum) -> float:
    if not of.reviewed:
        return of.items**2 / 12
    p = of.hits / of.reviewed
    return of.items**2 * p * (1 - p) / of.reviewed * (1 - of.reviewed / of.items)
