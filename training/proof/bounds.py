"""Exact bounds on a share that was seen k times among n independent cases (Clopper and Pearson)."""

import math

_STEPS = 60


def at_most(k: int, n: int, share: float) -> float:
    """The chance of k or fewer hits among n cases that each hit with chance `share`, 0 < share < 1."""
    if k >= n:
        return 1.0
    up, down = math.log(share), math.log1p(-share)
    return min(
        1.0,
        math.fsum(
            math.exp(
                math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * up + (n - i) * down
            )
            for i in range(k + 1)
        ),
    )


def upper(k: int, n: int, confidence: float) -> float:
    """The largest share that k hits among n cases still allow, one-sided at `confidence`; 1 where all hit."""
    if k >= n:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if at_most(k, n, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower(k: int, n: int, confidence: float) -> float:
    """The smallest share that k hits among n cases still allow, one-sided at `confidence`."""
    return 1 - upper(n - k, n, confidence)


def misses_allowed(n: int, rate: float, confidence: float) -> int | None:
    """How many of n cases may miss so that the miss rate is at most `rate` at `confidence`; None: not even none."""
    allowed = None
    while at_most(0 if allowed is None else allowed + 1, n, rate) <= 1 - confidence:
        allowed = 0 if allowed is None else allowed + 1
    return allowed


def cases_needed(rate: float, confidence: float) -> int:
    """How many cases without a miss prove `rate` at `confidence`: 299 for 1 % at 95 %."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))
