"""A model's card on the terminal: the facts that a person weighs before the version is activated."""

from collections.abc import Iterator

from shared.cli.output import print_table, printable
from shared.json_text import Card

_TEXTS = ("name", "use", "limits", "costs", "made_at")
_RATES = (
    "accuracy",
    "prevalence",
    "escape_rate",
    "false_reject_rate",
    "auroc",
    "ece",
    "escapes",
    "false_rejects",
    "reviewed",
)
_PARTS = ("validation", "test")


def print_card(card: Card) -> None:
    """Print the card; a member that the card lacks is left out. `gonogo models card --json` prints all of it."""
    for name in _TEXTS:
        if card.get(name):
            print(f"{name:<8} {printable(card[name])}")
    point, data = card.get("operating_point") or {}, card.get("data") or {}
    if point:
        band = f"review from {point['review_low']} to {point['review_high']}"
        print(f"{'point':<8} threshold {point['threshold']}, {band}")
    if data.get("images"):
        print(
            f"{'data':<8} {data['images']} images: {data.get('defect')} defect, {data.get('no_defect')} no_defect"
        )
    if rows := list(_rates(card)):
        print()
        print_table(["rate", *_PARTS], rows)


def _rates(card: Card) -> Iterator[tuple[str, ...]]:
    for name in _RATES:
        found = [_rate((card.get(part) or {}).get(name)) for part in _PARTS]
        if any(shown != "-" for shown in found):
            yield (name, *found)


def _rate(value: object) -> str:
    """A rate with its 95 % interval, where it has one; a rate of no images at all has no value."""
    value = None if isinstance(value, dict) and value["value"] is None else value
    if isinstance(value, dict):
        return f"{value['value']:.4g} ({value['low']:.4g} to {value['high']:.4g})"
    return "-" if value is None else f"{value:.4g}"
