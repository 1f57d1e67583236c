"""The recipe's table on the quality page: few images, unequal ones and good ones alone, on every set that is present.

Half of the groups lend the images to learn from, and the other half is judged. Most rows use pretrained features alone
and take a minute; 20 images a class are also learned by the whole recipe.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shared.json_text import Card
from shared.registry.artifact import Preprocessing
from training.data.check import check
from training.data.decoded import decoded
from training.data.records import Record
from training.data.report import Report
from training.data.splits import fold_numbers, fold_places
from training.fit import recipe
from training.fit.part import Part
from training.fit.steps import example_weights
from training.proof.calibrate import CROSSED_OFFSET, fit_calibration, scores
from training.proof.crossed import cross_calibrated
from training.proof.few_rows import few_row
from training.proof.good_rows import good_rows
from training.proof.metrics import CROSSED_WORTH, auroc, by_groups
from training.proof.operating_point import Costs, choose
from training.proof.protocols import GOOD_ALONE
from training.proof.recipe_page import EACH, rows_path
from training.proof.resplits import Resplits, resplit
from training.teacher.features import Extractor, sizes_for, strong_preprocessing
from training.teacher.logistic import cross_fit

SEEDS = (0, 1, 2)
RATES = (0.01, 0.02, 0.05, 0.1)
_FOLDS = 5


@dataclass(frozen=True)
class _Set:
    small: Preprocessing
    records: Sequence[Record]
    part: Part
    features: NDArray[np.float32]

    def at(self, places: NDArray[np.int64]) -> Part:
        return Part(self.part.images[places], self.part.labels[places], self.part.groups[places])


def measured(name: str, folder: Path, runs: Path, say: Callable[[str], None]) -> None:
    """Measure one set, unless `runs` has its rows already."""
    path = rows_path(runs, name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measure(name, folder, say), indent=1) + "\n")


def measure(name: str, folder: Path, say: Callable[[str], None]) -> list[Card]:
    """The rows of one set: 20 a class and 10 defects to 150 good ones, for each seed; and good ones alone."""
    looked = check(folder)
    found = _prepared(looked)
    # The shipped weights that others start from have learned the flaws of rendered parts.
    start = "none" if name == "rendered" else "auto"
    rows: list[Card] = []
    for seed in SEEDS:
        learn, judge = fold_places(found.records, 2, seed=seed)
        for title, defects, good in (("20 a class", 20, 20), ("10 to 150", 10, 150)):
            chosen = _draw(found, learn, {1: defects, 0: good}, seed)
            row = _few(found, chosen, judge)
            if defects != good:  # both halves differ in their share of defects, and so must their accuracies
                for figure in ("card", "accuracy", "holds"):
                    del row[figure]
            rows.append({"set": name, "what": title, "seed": seed} | row)
            say(str(rows[-1]))
            # Of rendered parts the features say nothing, and the weights to start from say all.
            if defects == good and start == "auto":
                learned, judged = ([found.records[i] for i in part] for part in (chosen, judge))
                row = few_row(looked, learned, judged, say)
                rows.append({"set": name, "what": "whole", "seed": seed} | row)
                say(str(rows[-1]))
    count = GOOD_ALONE.get(name, 0)
    rows += [{**row, "set": name} for row in good_rows(looked, found.small, count, start=start, say=say)]
    for seen in _promises(found):
        rows.append({"set": name, "promise": asdict(seen)})
        say(str(rows[-1]))
    return rows


def _promises(found: _Set) -> list[Resplits]:
    """How often a promise fails over resplits of the held-out scores of all images."""
    folds = fold_places(found.records, _FOLDS, seed=0)
    part = found.part
    held = cross_fit(found.features, part.labels, example_weights(part), folds).held_out.astype(np.float64)
    return [resplit(held, part.labels, part.groups, rate) for rate in RATES]


def _prepared(looked: Report) -> _Set:
    rng = np.random.default_rng(0)
    places = np.concatenate(
        [
            rng.permutation([i for i, r in enumerate(looked.records) if r.label == label])[:EACH]
            for label in (0, 1)
        ]
    )
    records = [looked.records[i] for i in sorted(places.tolist())]
    small = recipe.preprocessing_for(looked.pixel_sizes(), recipe.has_colour([r.path for r in records]))
    strong = strong_preprocessing(small)
    height, width = sizes_for(strong)[0]
    spec = strong if height > strong.height else Preprocessing(width, height, strong.channels)
    torch.set_num_threads(1)
    part = decoded(records, spec, threads=1)
    return _Set(small, records, part, Extractor(spec, ((height, width),), threads=1).of(part.images))


def _draw(found: _Set, learn: NDArray[np.int64], wanted: dict[int, int], seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    own = [
        rng.permutation(learn[found.part.labels[learn] == label])[:count] for label, count in wanted.items()
    ]
    return np.sort(np.concatenate(own))


def _few(found: _Set, chosen: NDArray[np.int64], judge: NDArray[np.int64]) -> Card:
    part, test = found.at(chosen), found.at(judge)
    records = [found.records[i] for i in chosen]
    rarer = min(len(np.unique(part.groups[part.labels == label])) for label in (0, 1))
    folds = fold_places(records, max(2, min(_FOLDS, rarer)), seed=0)
    fitted = cross_fit(found.features[chosen], part.labels, example_weights(part), folds)
    held = cross_calibrated(fitted.held_out, part, fold_numbers(folds, len(records)))
    calibration = fit_calibration(fitted.held_out, part.labels, part.groups, spread=CROSSED_OFFSET)
    p = scores(fitted.model.logits(found.features[judge]), calibration)
    even, dear = Costs(1, 1), Costs()
    point = choose(held, part.labels, even)
    stated = by_groups(
        (held >= point.threshold) == (part.labels == 1), part.groups, part.labels, worth=CROSSED_WORTH
    )
    accuracy = float(((p >= point.threshold) == (test.labels == 1)).mean())
    careful = choose(held, part.labels, dear)
    return {
        "learned": len(chosen),
        "judged": len(judge),
        "card": [round(stated.value, 4), round(stated.low, 4), round(stated.high, 4)],
        "accuracy": round(accuracy, 4),
        "holds": bool(stated.low <= accuracy <= stated.high),
        "auroc": round(auroc(p, test.labels), 4),
        "escapes": f"{int(((p < careful.review_low) & (test.labels == 1)).sum())}/{int(test.labels.sum())}",
        "asked": round(float((p >= careful.review_low)[test.labels == 0].mean()), 4),
    }
