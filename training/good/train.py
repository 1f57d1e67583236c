"""Train on good parts alone: an image is unusual where one of its places is far from all places of good images."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shared.registry.artifact import Artifact, Preprocessing
from shared.vision.net import Shape
from shared.vision.patches import PatchNet
from training.data.check import check
from training.data.decoded import decoded
from training.data.records import DataError, Record, Source
from training.data.report import Report
from training.data.splits import Split, grouped_folds
from training.fit.augment import Liberties
from training.fit.part import Part
from training.fit.recipe import Plan
from training.fit.train import Fitted, Say
from training.good.bank import PLACES, fit_bank
from training.network import preprocessing_of
from training.options import Options
from training.output import plots
from training.proof.good_point import FALSE_REJECTS, tail
from training.proof.prove import prove
from training.run_folder import begin
from training.teacher.features import sizes_for, strong_preprocessing
from training.trained import Trained

FEW_DEFECTS = 10  # with fewer, nothing can be learned from them; they help to set the threshold
LEAST_GOOD = 10
_MOST_IMAGES = 2000
_NO_PLAN = Plan(epochs=0, batch=0, learning_rate=0.0, weight_decay=0.0, patience=0, augment=False)


def is_good_only(looked: Report, options: Options) -> bool:
    """Whether a set shows too few defects to learn from."""
    defects = [record.group for record in looked.records if record.label]
    return options.preset == "recipe" and (len(defects) < FEW_DEFECTS or len(set(defects)) < 2)


def train_good(
    looked: Report, options: Options, *, test_folder: Path | Source | None = None, say: Say
) -> Artifact:
    """Fit on the good images of a split by whole groups; writes the run folder. Raises DataError for too few."""
    split = good_split(looked.records, seed=options.seed)
    if test_folder is not None:
        tested = check(test_folder, full_scale=options.full_scale).records
        split = Split(split.train + [r for r in split.test if not r.label], split.validation, tested)
    how = "good parts only: by whole groups, no defect in the training part"
    _, clock = begin(split, how, options, say)
    started, started_cpu = clock(), time.process_time()
    spec, size = _form(preprocessing_of(looked, options))
    step = -(-len(split.train) // _MOST_IMAGES)
    train, validation, test = (
        decoded(part, spec, threads=options.threads)
        for part in (split.train[::step], split.validation, split.test)
    )
    say(
        f"a bank of {PLACES} places from {len(train)} good images, {spec.width} x {spec.height} x {spec.channels}"
    )
    net = fit_bank(train.images, size, seed=options.seed)
    _set_scale(net, validation)
    shape = Shape("patches", spec.height, spec.width, spec.channels, sizes=(size,), places=PLACES)
    fitted = Fitted(net, _NO_PLAN, 0, "no epochs: places of good images are compared", clock() - started)
    torch.save(net.state_dict(), options.output / "best_model.pt")
    plots.curves([], 0, options.output / "training_curves.png")
    return prove(
        Trained(
            looked, split, how, options, spec, shape, Liberties(False, False, False, False), None,
            fitted, time.process_time() - started_cpu, train, validation, test,
        ),
        say,
    )  # fmt: skip


def good_split(records: Sequence[Record], *, seed: int) -> Split:
    """A seventh of the good groups each for validation and test, and the defects half and half; a given test part
    stays the test part."""
    good, defects = ([r for r in records if r.label == label] for label in (0, 1))
    if len(good) < LEAST_GOOD:
        raise DataError(f"{len(good)} good images are too few: at least {LEAST_GOOD} are needed")
    given = [record for record in good if record.split == "test"]
    if given and len(given) < len(good):
        validation = grouped_folds([r for r in good if r.split != "test"], 6, seed=seed)[0]
        test = given
    else:
        validation, test = grouped_folds(good, 7, seed=seed)[:2]
    taken = {record.path for record in (*validation, *test)}
    halves = grouped_folds(defects, 2, seed=seed) if len({r.group for r in defects}) > 1 else [[], defects]
    train = [record for record in good if record.path not in taken]
    return Split(train, validation + halves[0], test + halves[1])


def _form(small: Preprocessing) -> tuple[Preprocessing, tuple[int, int]]:
    """Images are decoded at the size of the features, except for small ones, which the network enlarges."""
    strong = strong_preprocessing(small)
    height, width = size = sizes_for(strong)[0]
    if height > strong.height:
        return strong, size
    return Preprocessing(width, height, strong.channels, strong.full_scale), size


def _set_scale(net: PatchNet, validation: Part) -> None:
    """Bring both distances to one scale, and their sum to a logit: 0 where FALSE_REJECTS of good images lie above."""
    both = distances_of(net, validation.images[validation.labels == 0])
    centre, spread = np.median(both, axis=0), np.maximum(both.std(0), 1e-3 * both.mean(0))
    total = ((both - centre) / spread).sum(1)
    rows = [*zip(centre, spread, strict=True), (tail(total, FALSE_REJECTS), max(float(total.std()), 1e-3))]
    net.scales.copy_(torch.tensor(np.array(rows), dtype=torch.float32))


def distances_of(net: PatchNet, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Distances (N, 2) of the most unusual place and of the whole of each image (N, H, W, C)."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 16):
            nearest, unusual, _ = net.distances(torch.from_numpy(images[start : start + 16]))
            parts.append(torch.stack([nearest.amax((1, 2)), unusual], 1))
    return torch.cat(parts).double().numpy()
