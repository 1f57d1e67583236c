"""The curves of a model's card, as the page draws them. A card that lacks some leaves them out."""

import math
from itertools import accumulate
from typing import NamedTuple

from shared.json_text import Card
from web.pages.cards import Matrix

# As shared/vision/drift.py bins scores: their log-odds from -8 to 8 in steps of a half, with open ends.
_LOWEST, _STEP = -8.0, 0.5


class Coverage(NamedTuple):
    """The share of errors among the images that no person sees, by the share of such images.

    `points` are for an SVG polyline in a field of 100 by 100, whose height is `most`. `share` and `risk` are those of
    the model's own operating point, at `x` and `y`.
    """

    points: str
    most: float
    share: float
    risk: float
    x: float
    y: float


class Curve(NamedTuple):
    """A curve for an SVG polyline in a field of 100 by 100, and the model's own threshold on it at `x` and `y`."""

    points: str
    x: float
    y: float


def training_curves(card: Card) -> list[tuple[str, str]]:
    """The losses over the epochs: (name, points of an SVG polyline in a field of 100 by 100)."""
    history = (card.get("training") or {}).get("history") or []
    names = [name for name in ("train_loss", "validation_loss") if history and name in history[0]]
    most = max((epoch[name] for epoch in history for name in names), default=0.0)
    if len(history) < 2 or not most > 0:
        return []
    across, up = 100 / (len(history) - 1), 100 / most
    return [
        (
            name,
            " ".join(f"{across * at:.1f},{100 - up * epoch[name]:.1f}" for at, epoch in enumerate(history)),
        )
        for name in names
    ]


def risk_coverage(card: Card) -> Coverage | None:
    """Risk by coverage from the binned scores of the test part, where a wider review band takes the nearest scores."""
    test, reference, point = (
        card.get("test") or {},
        card.get("reference") or {},
        card.get("operating_point") or {},
    )
    good, defect = ((reference.get(name) or {}).get("score") for name in ("good", "defect"))
    if not good or not defect or "pictures" not in test or not 0 < point.get("threshold", 0) < 1:
        return None
    total, threshold = sum(good) + sum(defect), _log_odds(point["threshold"])
    middles = [_LOWEST + (place - 0.5) * _STEP for place in range(len(good))]
    kept = errors = 0
    curve = []
    for place in sorted(range(len(good)), key=lambda at: -abs(middles[at] - threshold)):
        kept += good[place] + defect[place]
        errors += good[place] if middles[place] >= threshold else defect[place]
        if kept:
            curve.append((kept / total, errors / kept))
    left = test["pictures"] - test.get("reviewed", 0)
    wrong = test.get("escapes_after_review", 0) + test.get("false_rejects_after_review", 0)
    share, risk = left / test["pictures"], wrong / left if left else 0.0
    most = max(risk, *(height for _, height in curve)) or 1.0
    points = " ".join(f"{100 * x:.1f},{100 - 100 * y / most:.1f}" for x, y in curve)
    return Coverage(points, most, share, risk, 100 * share, 100 - 100 * risk / most)


def roc(card: Card, matrix: Matrix | None) -> Curve | None:
    """The share of defects that are found (upwards) by the share of good parts that are refused."""
    steps = _above(card)
    if not steps or matrix is None:
        return None
    goods, defects = steps[-1]
    points = [(0.0, 0.0), *((good / goods, defect / defects) for good, defect in steps)]
    refused = matrix.false_rejects / max(1, matrix.false_rejects + matrix.passed)
    return _curve(points, refused, matrix.found / max(1, matrix.found + matrix.escapes))


def precision_recall(card: Card, matrix: Matrix | None) -> Curve | None:
    """The share of true defects among the refused parts (upwards) by the share of defects that are found."""
    steps = _above(card)
    if not steps or matrix is None:
        return None
    defects = steps[-1][1]
    points = [(defect / defects, defect / (good + defect)) for good, defect in steps if good + defect]
    found = matrix.found / max(1, matrix.found + matrix.escapes)
    return _curve(points, found, matrix.found / max(1, matrix.found + matrix.false_rejects))


def _above(card: Card) -> list[tuple[int, int]]:
    """The good and the defective images of the reference with a score from each bound on, the highest bound first."""
    reference = card.get("reference") or {}
    good, defect = ((reference.get(name) or {}).get("score") or [] for name in ("good", "defect"))
    if not sum(good) or not sum(defect):
        return []
    return list(zip(accumulate(reversed(good)), accumulate(reversed(defect)), strict=True))


def _curve(points: list[tuple[float, float]], x: float, y: float) -> Curve:
    drawn = " ".join(f"{100 * across:.1f},{100 - 100 * up:.1f}" for across, up in points)
    return Curve(drawn, 100 * x, 100 - 100 * y)


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
