"""The recipe's table on the quality page: few images, unequal ones and good ones alone, on every set that is present.

Half of the groups lend the images to learn from, and the other half is judged. Only pretrained features are used, so
that a row takes a minute; the small network, where a training chooses it, is at least as good on its own folds.
"""

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
from training.data.splits import grouped_folds
from training.fit import recipe
from training.fit.part import Part
from training.fit.steps import example_weights
from training.good.bank import fit_bank
from training.good.train import distances_of
from training.proof.calibrate import fit_calibration, scores
from training.proof.crossed import cross_calibrated
from training.proof.metrics import auroc, by_groups
from training.proof.operating_point import Costs, choose
from training.proof.protocols import PROTOCOLS, present
from training.proof.resplits import Resplits, resplit
from training.synthetic.render import render
from training.teacher.features import Extractor, sizes_for, strong_preprocessing
from training.teacher.logistic import cross_fit

START, END = "<!-- recipe -->", "<!-- /recipe -->"
SEEDS = (0, 1, 2)
RATES = (0.01, 0.02, 0.05, 0.1)
_EACH = 300  # images of each label
_FOLDS = 5


@dataclass(frozen=True)
class _Set:
    records: Sequence[Record]
    part: Part
    features: NDArray[np.float32]

    def at(self, places: NDArray[np.int64]) -> Part:
        return Part(self.part.images[places], self.part.labels[places], self.part.groups[places])


def write_recipe_table(
    data: Path, runs: Path, page: Path, *, only: list[str], say: Callable[[str], None]
) -> None:
    """Measure every set that is present, print the rows, and put the table into `page`."""
    rows: list[Card] = []
    for name in dict.fromkeys(protocol.folder for protocol in PROTOCOLS):
        if only and name not in only:
            continue
        folder = _drawn(runs) if name == "rendered" else present(name, data, runs)
        if folder is not None:
            rows += measure(name, folder, say)
    text = page.read_text() if page.exists() else ""
    before, mark, after = text.partition(START)
    rest = after.partition(END)[2] if mark else "\n"
    page.write_text(f"{before.rstrip()}\n\n{START}\n{_section(rows)}\n{END}{rest}")


def _drawn(runs: Path) -> Path:
    """As many made-up parts as are measured; a training draws ten times as many."""
    folder = runs / "few-rendered"
    if not (folder / "images.csv").exists():
        render(folder, count=2 * _EACH + 80, seed=14)
    return folder


def measure(name: str, folder: Path, say: Callable[[str], None]) -> list[Card]:
    """The rows of one set: 20 a class, 10 defects to 150 good ones, and good ones alone, for each seed."""
    found = _prepared(folder)
    rows = []
    for seed in SEEDS:
        learn, judge = _halves(found.records, seed)
        for title, defects, good in (("20 a class", 20, 20), ("10 to 150", 10, 150)):
            chosen = _draw(found, learn, {1: defects, 0: good}, seed)
            row = _few(found, chosen, judge)
            if defects != good:  # both halves differ in their share of defects, and so must their accuracies
                for figure in ("card", "accuracy", "holds"):
                    del row[figure]
            rows.append({"set": name, "what": title, "seed": seed} | row)
            say(str(rows[-1]))
    learn, judge = _halves(found.records, 0)
    rows.append({"set": name, "what": "good only", "seed": 0} | _good(found, learn, judge))
    say(str(rows[-1]))
    for seen in _promises(found):
        rows.append({"set": name, "promise": asdict(seen)})
        say(str(rows[-1]))
    return rows


def _promises(found: _Set) -> list[Resplits]:
    """How often a promise fails over resplits of the held-out scores of all images."""
    place_of = {record.path: place for place, record in enumerate(found.records)}
    folds = [
        np.array([place_of[record.path] for record in fold], np.int64)
        for fold in grouped_folds(found.records, _FOLDS, seed=0)
    ]
    part = found.part
    held = cross_fit(found.features, part.labels, example_weights(part), folds).held_out.astype(np.float64)
    return [resplit(held, part.labels, part.groups, rate) for rate in RATES]


def _prepared(folder: Path) -> _Set:
    looked = check(folder)
    rng = np.random.default_rng(0)
    places = np.concatenate(
        [
            rng.permutation([i for i, r in enumerate(looked.records) if r.label == label])[:_EACH]
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
    return _Set(records, part, Extractor(spec, ((height, width),), threads=1).of(part.images))


def _halves(records: Sequence[Record], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    place_of = {record.path: place for place, record in enumerate(records)}
    learn, judge = (
        np.array(sorted(place_of[r.path] for r in half), np.int64)
        for half in grouped_folds(records, 2, seed=seed)
    )
    return learn, judge


def _draw(found: _Set, learn: NDArray[np.int64], wanted: dict[int, int], seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    own = [
        rng.permutation(learn[found.part.labels[learn] == label])[:count] for label, count in wanted.items()
    ]
    return np.sort(np.concatenate(own))


def _few(found: _Set, chosen: NDArray[np.int64], judge: NDArray[np.int64]) -> Card:
    part, test = found.at(chosen), found.at(judge)
    records = [found.records[i] for i in chosen]
    place_of = {record.path: place for place, record in enumerate(records)}
    rarer = min(len(np.unique(part.groups[part.labels == label])) for label in (0, 1))
    folds = grouped_folds(records, max(2, min(_FOLDS, rarer)), seed=0)
    places = [np.array([place_of[r.path] for r in fold], np.int64) for fold in folds if fold]
    fold_of = np.zeros(len(records), np.int64)
    for number, fold in enumerate(places):
        fold_of[fold] = number
    fitted = cross_fit(found.features[chosen], part.labels, example_weights(part), places)
    held = cross_calibrated(fitted.held_out, part, fold_of)
    calibration = fit_calibration(fitted.held_out, part.labels, part.groups)
    p = scores(fitted.model.logits(found.features[judge]), calibration)
    even, dear = Costs(1, 1), Costs()
    point = choose(held, part.labels, even)
    stated = by_groups((held >= point.threshold) == (part.labels == 1), part.groups)
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


def _good(found: _Set, learn: NDArray[np.int64], judge: NDArray[np.int64]) -> Card:
    good = learn[found.part.labels[learn] == 0]
    height, width = found.part.images.shape[1:3]
    size = (height * 4, width * 4) if max(height, width) <= recipe.SMALL_SIDE else (height, width)
    held = good[::5]  # they set the scale of both distances, as the validation part does in a training
    net = fit_bank(found.part.images[np.setdiff1d(good, held)], size)
    test = found.at(judge)
    centre, spread = (f(distances_of(net, found.part.images[held]), axis=0) for f in (np.median, np.std))
    both = (distances_of(net, test.images) - centre) / spread
    place, whole = (round(auroc(column, test.labels), 4) for column in both.T)
    return {
        "learned": len(good),
        "judged": len(judge),
        "auroc": round(auroc(both.sum(1), test.labels), 4),
        "place": place,
        "whole": whole,
    }


def _section(rows: Sequence[Card]) -> str:
    lines = [
        "## Few images, unequal ones, and good ones alone",
        "",
        f"Written by `python -m training quality --few`: at most {_EACH} images of each label of a set, half of the "
        "groups to learn from and the other half judged; pretrained features alone. *Card* is the accuracy by "
        "cross-fitting with its interval for new parts, at equal costs; *escapes* are defects below the review band "
        "where an escape costs ten false rejects; the last column is the share of good images from there on.",
        "",
        "| set | learned from | images (judged) | card | accuracy | in it | AUROC | escapes | good asked about |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "promise" in row:
            continue
        card = "–"
        if "card" in row:
            value, low, high = row["card"]
            card = f"{value:.1%} ({low:.1%}–{high:.1%})"
        accuracy = f"{row['accuracy']:.1%}" if "accuracy" in row else "–"
        asked = f"{row['asked']:.1%}" if "asked" in row else "–"
        holds = {True: "yes", False: "no"}.get(row.get("holds", ""), "–")
        lines.append(
            f"| {row['set']}, draw {row['seed']} | {row['what']} | {row['learned']} ({row['judged']}) | {card} "
            f"| {accuracy} | {holds} | {row['auroc']:.4f} | {row.get('escapes', '–')} | {asked} |"
        )
    lines += [
        "",
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
            fails = "refused: needs {needed} to choose on".format(**seen)
            if seen["fails"] is not None:
                fails = f"{1000 * seen['fails']:.0f}"
            asked = "–" if seen["review"] is None else f"{seen['review']:.1%}"
            confirmed = "–" if seen["confirmed"] is None else f"{seen['confirmed']:.0%}"
            lines.append(
                f"| {row['set']} | {seen['rate']:.0%} | {seen['parts']} ({seen['chosen_on']}) | {fails} | {asked} "
                f"| {confirmed} |"
            )
    return "\n".join(lines)
