"""The figures and curves of a model's card, as the page draws them. A card that lacks some leaves them out."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from shared.json_text import Card

_RATES = {
    "accuracy": "Accuracy at the threshold",
    "escape_rate": "Escapes: defects called good",
    "false_reject_rate": "False rejects: good parts called defect",
}
_NUMBERS = {
    "auroc": "Area under the ROC curve",
    "ece": "Calibration error",
    "pictures": "Images of the test part",
}
# As shared/vision/drift.py bins scores: their log-odds from -8 to 8 in steps of a half, with open ends.
_LOWEST, _STEP = -8.0, 0.5


class Figure(NamedTuple):
    """A row of the table: a title, and a text for each of the compared versions."""

    title: str
    values: list[str]


class Matrix(NamedTuple):
    """The images of the test part by truth and verdict at the threshold, before review."""

    escapes: int
    found: int
    passed: int
    false_rejects: int


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


def figures(cards: Sequence[Card]) -> list[Figure]:
    """The measures of each card on its test part, next to each other."""
    tests = [card.get("test") or card.get("metrics") or {} for card in cards]
    rows = [Figure(title, [_rate(test.get(name)) for test in tests]) for name, title in _RATES.items()]
    rows += [Figure(title, [_plain(test.get(name)) for test in tests]) for name, title in _NUMBERS.items()]
    speeds = [(card.get("speed") or {}).get("images_per_second") for card in cards]
    rows.append(Figure("Images a second on one core", [_plain(speed) for speed in speeds]))
    return [row for row in rows if any(value != "–" for value in row.values)]


def matrix(card: Card) -> Matrix | None:
    """The confusion matrix, or None where the card does not count."""
    test = card.get("test") or {}
    if not {"pictures", "defects", "escapes", "false_rejects"} <= test.keys():
        return None
    good = test["pictures"] - test["defects"]
    return Matrix(
        test["escapes"],
        test["defects"] - test["escapes"],
        good - test["false_rejects"],
        test["false_rejects"],
    )


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


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))


def _rate(value: object) -> str:
    if not isinstance(value, dict) or "value" not in value:
        return _plain(value)
    return f"{100 * value['value']:.2f} % ({100 * value['low']:.2f} to {100 * value['high']:.2f})"


def _plain(value: object) -> str:
    if not isinstance(value, int | float):
        return "–"
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.4g}"
