"""The recipe's section of the quality page, written from the rows that are known."""

import json
from collections.abc import Sequence
from pathlib import Path

from shared.json_text import Card
from training.proof.few_rows import MINUTES as WHOLE_MINUTES
from training.proof.good_rows import FOLDS, MINUTES
from training.proof.protocols import PROTOCOLS

START, END = "<!-- recipe -->", "<!-- /recipe -->"
EACH = 300  # images of each label


def rows_path(runs: Path, name: str) -> Path:
    """Where the rows of a set are kept."""
    return runs / "few" / f"{name}.json"


def write_recipe_section(runs: Path, page: Path) -> None:
    """Put the tables of all sets whose rows are known into `page`; without any, the page stays as it is."""
    rows: list[Card] = []
    for name in dict.fromkeys(protocol.folder for protocol in PROTOCOLS):
        path = rows_path(runs, name)
        rows += json.loads(path.read_text()) if path.exists() else []
    if not rows:
        return
    text = page.read_text() if page.exists() else ""
    before, mark, after = text.partition(START)
    rest = after.partition(END)[2] if mark else "\n"
    page.write_text(f"{before.rstrip()}\n\n{START}\n{_section(rows)}\n{END}{rest}")


def _section(rows: Sequence[Card]) -> str:
    return "\n".join([*_few(rows), "", *_whole(rows), "", *_good(rows), "", *_promises(rows)])


def _few(rows: Sequence[Card]) -> list[str]:
    lines = [
        "## Few images, unequal ones, and good ones alone",
        "",
        f"Written by `python -m training quality --few`: at most {EACH} images of each label of a set, half of the "
        "groups to learn from and the other half judged; pretrained features alone. *Card* is the accuracy by "
        "cross-fitting with its interval for new parts, at equal costs; *escapes* are defects below the review band "
        "where an escape costs ten false rejects; the last column is the share of good images from there on.",
        "",
        "| set | learned from | images (judged) | card | accuracy | in it | AUROC | escapes | good asked about |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "asked" in row:
            card, accuracy, holds = "–", "–", "–"
            if "card" in row:
                value, low, high = row["card"]
                card, accuracy = f"{value:.1%} ({low:.1%}–{high:.1%})", f"{row['accuracy']:.1%}"
                holds = "yes" if row["holds"] else "no"
            lines.append(
                f"| {row['set']}, draw {row['seed']} | {row['what']} | {row['learned']} ({row['judged']}) | {card} "
                f"| {accuracy} | {holds} | {row['auroc']:.4f} | {row['escapes']} | {row['asked']:.1%} |"
            )
    return lines


def _whole(rows: Sequence[Card]) -> list[str]:
    lines = [
        f"The whole recipe learns the same 20 images a class (CPU minutes: {WHOLE_MINUTES}). Pretrained features alone "
        "stand next to it. *Card* and *in it* as above, for the recipe.",
        "",
        "| set | serves | judged | card | in it | accuracy | features alone | AUROC | features alone |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "served" in row:
            value, low, high = row["card"]
            recipe, alone = row["recipe"], row["features"]
            lines.append(
                f"| {row['set']}, draw {row['seed']} | {row['served']} | {row['judged']} "
                f"| {value:.1%} ({low:.1%}–{high:.1%}) | {'yes' if row['holds'] else 'no'} | {_accuracy(recipe)} "
                f"| {_accuracy(alone)} | {recipe['auroc']:.4f} | {alone['auroc']:.4f} |"
            )
    return lines


def _accuracy(figures: Card) -> str:
    accuracy = figures["accuracy"]
    return f"{accuracy['value']:.1%} ({accuracy['low']:.1%}–{accuracy['high']:.1%})"


def _good(rows: Sequence[Card]) -> list[str]:
    lines = [
        f"Good parts alone, from the whole set and by its own recipe in {MINUTES} CPU minutes: a third of the good "
        "groups is judged, with defects of which none was learned. Castings, which show few good parts, have all "
        f"{FOLDS} folds, which share the minutes. *Rejected* and *escapes* are at the threshold that good images set. "
        "The last columns tell how much the network that learned drawn damage weighs, and how much the places.",
        "",
        "| set | good images (parts) | judged | AUROC | good rejected | escapes | drawn damage | places |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "weights" in row:
            small, places = row["weights"]["small"], row["weights"]["patches"]
            lines.append(
                f"| {row['set']}, fold {row['seed']} | {row['learned']} ({row['parts']}) | {row['judged']} "
                f"| {row['auroc']:.4f} | {row['rejected']:.1%} | {row['escapes']} | {small:.2f} | {places:.2f} |"
            )
    return lines


def _promises(rows: Sequence[Card]) -> list[str]:
    lines = [
        "Promises (`--max-escape-rate`, 95 % confidence) on held-out scores of the same images: 1,000 times half of "
        "the defective parts choose the bound, and the promise fails where more of all parts escape. The last "
        "columns are the mean share of good images from the bound on, and the share of 20 of these bounds that MAPIE "
        "(learn then test) confirms.",
        "",
        "| set | at most | defective parts (choosing) | fails in 1,000 | good asked about | confirmed |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "promise" in row:
            seen = row["promise"]
            fails = f"refused: needs {seen['needed']} to choose on"
            if seen["fails"] is not None:
                fails = f"{1000 * seen['fails']:.0f}"
            asked, confirmed = ("–" if seen[x] is None else f"{seen[x]:.1%}" for x in ("review", "confirmed"))
            lines.append(
                f"| {row['set']} | {seen['rate']:.0%} | {seen['parts']} ({seen['chosen_on']}) | {fails} | {asked} "
                f"| {confirmed} |"
            )
    return lines
