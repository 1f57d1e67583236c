"""Rows of the quality page on good parts alone: each judged part is one that the networks never saw."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from shared.json_text import Card
from shared.registry.artifact import Preprocessing
from training.data.decoded import decoded
from training.data.records import Record
from training.data.report import Report
from training.data.splits import grouped_folds
from training.fit.train import predict
from training.good.fitting import fit_good, form_of
from training.good.split import good_split
from training.good.train import MOST_IMAGES
from training.options import Options
from training.proof.metrics import auroc

FOLDS = 3  # of the good parts
MINUTES = 24  # of CPU, which the folds of a set share
_JUDGED = 1000  # images of each label


def good_rows(
    looked: Report, small: Preprocessing, count: int, *, start: str, say: Callable[[str], None]
) -> list[Card]:
    """Each of the first `count` folds of good parts is judged by networks that learned the others.

    Defects are judged in every fold, as none of them is learned; those of a group that was learned are left out.
    """
    good = [record for record in looked.records if not record.label]
    folds = grouped_folds(good, FOLDS, seed=0)
    budget_s = 60 * MINUTES / max(1, count)
    return [_row(looked, small, folds, number, start, budget_s, say) for number in range(count)]


def _row(
    looked: Report,
    small: Preprocessing,
    folds: Sequence[list[Record]],
    number: int,
    start: str,
    budget_s: float,
    say: Callable[[str], None],
) -> Card:
    rest = [record for place, fold in enumerate(folds) if place != number for record in fold]
    split, _ = good_split(rest, seed=0, tested=True)
    learned = {record.group for record in rest}
    defects = [record for record in looked.records if record.label and record.group not in learned]
    form = form_of(small)
    train, validation, test = (
        decoded(part, form.spec, threads=1)
        for part in (
            _spread(split.train, MOST_IMAGES),
            _spread(split.validation, _JUDGED),
            _spread(folds[number], _JUDGED) + _spread(defects, _JUDGED),
        )
    )
    options = Options(name="", output=Path(), threads=1, start=start)
    found = fit_good(train, validation, form, looked, options, budget_s=budget_s, say=say)
    logits = predict(found.net, test.images).astype(np.float64)
    good = test.labels == 0
    return {
        "what": "good only",
        "seed": number,
        "learned": len(train) + len(validation),
        "parts": len({record.group for record in split.train}),
        "judged": len(test),
        "auroc": round(auroc(logits, test.labels), 4),
        "rejected": round(float((logits[good] > 0).mean()), 4),
        "escapes": f"{int((logits[~good] <= 0).sum())}/{int((~good).sum())}",
        "weights": {name: row["weight"] for name, row in found.choice["candidates"].items()},
    }


def _spread(records: list[Record], most: int) -> list[Record]:
    """At most `most` of the records, evenly over the list."""
    return records[:: max(1, -(-len(records) // most))]
