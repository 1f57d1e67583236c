"""Rows of the quality page on 20 images a class. The whole recipe and pretrained features alone learn the same ones."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.json_text import Card
from training.crossfit import train_crossed
from training.data.records import Record
from training.data.report import Report
from training.fit.choice import FEATURES
from training.options import Options
from training.progress import no_progress
from training.proof.operating_point import Costs

MINUTES = 1  # of CPU, for each training


def few_row(
    looked: Report, learned: Sequence[Record], judged: Sequence[Record], say: Callable[[str], None]
) -> Card:
    """Train on `learned` and measure on `judged`: as the recipe chooses, and with features served alone."""
    chosen = alone = _trained(looked, learned, judged, "auto", say)
    if chosen["choice"]["served"] != FEATURES:
        alone = _trained(looked, learned, judged, FEATURES, say)
    own = chosen["validation"]
    card = own["accuracy_by_groups"] or own["accuracy"]  # where nothing tells the parts, each image is one
    accuracy = chosen["test"]["accuracy"]["value"]
    return {
        "learned": len(learned),
        "judged": len(judged),
        "served": chosen["choice"]["served"],
        "card": [card[name] for name in ("value", "low", "high")],
        "holds": card["low"] <= accuracy <= card["high"],
        **{
            name: {figure: found["test"][figure] for figure in ("accuracy", "auroc")}
            for name, found in (("recipe", chosen), ("features", alone))
        },
    }


def _trained(
    looked: Report,
    learned: Sequence[Record],
    judged: Sequence[Record],
    serve: str,
    say: Callable[[str], None],
) -> Card:
    with TemporaryDirectory() as folder:
        options = Options(
            name="few",
            output=Path(folder) / "few",
            budget_min=MINUTES,
            threads=1,
            costs=Costs(escape=1.0, reject=1.0),  # both mistakes alike, as accuracies count them
            serve=serve,
        )
        return train_crossed(looked, [*learned], [*judged], options, say=say, progress=no_progress).card
