"""The figures of a model's card, as the page draws them. A card that lacks some leaves them out."""

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
    "prevalence": "Share of defects on the line that accuracy is for",
    "pictures": "Images of the test part",
}


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


def _rate(value: object) -> str:
    if not isinstance(value, dict):
        return _plain(value)
    if value.get("value") is None:  # of no images at all
        return "–"
    return f"{100 * value['value']:.2f} % ({100 * value['low']:.2f} to {100 * value['high']:.2f})"


def _plain(value: object) -> str:
    if not isinstance(value, int | float):
        return "–"
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.4g}"
