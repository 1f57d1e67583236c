"""Whether the limits of the escape and false-reject rates hold the truth: `python -m training.proof.audits`.

Each audit draws a production of its own: how many items, how many defects, and how well the model tells them apart.
The sample is that of the service (shared/lifecycle/sampling.py), persons review all of it but for some that they have
not come to, and the rates are estimated as `GET /v1/stats/agreement` does. The approximation by the normal distribution
is printed next to it.
"""

import argparse
import random
from collections.abc import Sequence
from typing import NamedTuple

from shared.contract.rates import RatePayload, Stratum, escape_rate, false_reject_rate
from shared.lifecycle import sampling
from training.proof.normal_limits import normal

_STRATA = ("no_defect", "defect", "review")


class Audit(NamedTuple):
    """An estimated rate, the approximation of it, and the truth."""

    rate: RatePayload
    approximate: tuple[float, float]
    truth: float


def main() -> None:
    """Print how often the limits hold the truth, and how wide they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--passed-share", type=float, default=0.01)
    parser.add_argument("--refused-share", type=float, default=0.05)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    audits = [
        audit(number, dice, options.passed_share, options.refused_share) for number in range(options.audits)
    ]
    print(
        f"{options.audits} audits, {options.passed_share:.1%} of the passed and {options.refused_share:.1%} of the"
    )
    print("refused items sampled; limits at 95 %, and by the normal distribution for comparison")
    for name, of in (
        ("escape rate", [pair[0] for pair in audits]),
        ("false-reject rate", [pair[1] for pair in audits]),
    ):
        print(f"{name:18} holds the truth in {_held(of):6.1%}, mean width {_width(of):.4f};"
              f" normal: {_held_normally(of):6.1%}")  # fmt: skip


def audit(number: int, dice: random.Random, passed_share: float, refused_share: float) -> tuple[Audit, Audit]:
    """An audit of a production of 2,000 to 60,000 items: the estimates of both rates."""
    items, defect_share = int(10 ** dice.uniform(3.3, 4.8)), 10 ** dice.uniform(-2.5, -0.7)
    escape, reject = 10 ** dice.uniform(-2.3, -0.7), 10 ** dice.uniform(-3, -1.3)
    band, reviewed = dice.uniform(0.005, 0.05), dice.choice((1.0, 1.0, 0.6))
    seed = sampling.seed(f"bat_{number}")
    counts = {name: [0, 0, 0, 0] for name in _STRATA}  # items, reviewed, defects among these, defects
    for seq in range(items):
        is_defect = dice.random() < defect_share
        if dice.random() < band * (3 if is_defect else 1):
            verdict = "review"
        elif is_defect:
            verdict = "no_defect" if dice.random() < escape else "defect"
        else:
            verdict = "defect" if dice.random() < reject else "no_defect"
        share = {"no_defect": passed_share, "defect": refused_share, "review": 1.0}[verdict]
        seen = sampling.position(seed, seq) < share * sampling.P and dice.random() < reviewed
        row = counts[verdict]
        for place, counted in enumerate((True, seen, seen and is_defect, is_defect)):
            row[place] += counted
    passed, refused, review = (Stratum(*counts[name][:3]) for name in _STRATA)
    defects = [counts[name][3] for name in _STRATA]
    good = [counts[name][0] - counts[name][3] for name in _STRATA]
    return (
        Audit(
            escape_rate(passed, refused, review),
            normal(passed, [refused, review]),
            defects[0] / max(1, sum(defects)),
        ),
        Audit(
            false_reject_rate(passed, refused, review),
            normal(refused.others(), [passed.others(), review.others()]),
            good[1] / max(1, sum(good)),
        ),
    )


def _held(audits: Sequence[Audit]) -> float:
    return sum(each.rate["low"] <= each.truth <= each.rate["high"] for each in audits) / len(audits)


def _held_normally(audits: Sequence[Audit]) -> float:
    return sum(each.approximate[0] <= each.truth <= each.approximate[1] for each in audits) / len(audits)


def _width(audits: Sequence[Audit]) -> float:
    return sum(each.rate["high"] - each.rate["low"] for each in audits) / len(audits)


if __name__ == "__main__":
    main()
