"""Train on good parts alone: an image is a defect where its places lie far from all places of good images, or where a
network sees in it what it saw in images with drawn damage."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from shared.registry.artifact import Artifact
from training.data.check import apart
from training.data.decoded import decoded
from training.data.records import DataError, Record, Source
from training.data.report import Report
from training.data.splits import Split, grouped_folds
from training.effects import refuse_for_good_parts
from training.good.fitting import fit_good, form_of
from training.network import preprocessing_of
from training.options import Options
from training.output import plots
from training.progress import Say
from training.proof.prove import prove
from training.run_folder import begin
from training.trained import Trained

FEW_DEFECTS = 10  # with fewer, nothing can be learned from them; they help to set the threshold
LEAST_GOOD = 10
MOST_IMAGES = 2000


def is_good_only(looked: Report, options: Options) -> bool:
    """Whether a set shows too few defects to learn from."""
    defects = [record.group for record in looked.records if record.label]
    return options.preset == "recipe" and (len(defects) < FEW_DEFECTS or len(set(defects)) < 2)


def train_good(
    looked: Report, options: Options, *, test_folder: Path | Source | None = None, say: Say
) -> Artifact:
    """Fit on the good images of a split by whole groups; writes the run folder. Raises DataError for too few."""
    refuse_for_good_parts(options, sum(record.label for record in looked.records))
    split = good_split(looked.records, seed=options.seed)
    if test_folder is not None:
        tested = apart(test_folder, looked, full_scale=options.full_scale)
        split = Split(split.train + [r for r in split.test if not r.label], split.validation, tested)
    how = "good parts only: by whole groups, no defect in the training part"
    _, clock = begin(split, how, options, say)
    started, started_cpu = clock(), time.process_time()
    form = form_of(preprocessing_of(looked, options))
    train, validation, test = (
        decoded(part, form.spec, threads=options.threads)
        for part in (split.train[:: -(-len(split.train) // MOST_IMAGES)], split.validation, split.test)
    )
    rest = options.budget_min * 60 - (clock() - started)
    found = fit_good(train, validation, form, looked, options, budget_s=rest, say=say)
    torch.save(found.net.state_dict(), options.output / "best_model.pt")
    plots.curves(found.fitted.history, found.fitted.best_epoch, options.output / "training_curves.png")
    return prove(
        Trained(
            looked, split, how, options, form.spec, found.shape, found.network.freedom, found.network.start,
            replace(found.fitted, net=found.net), time.process_time() - started_cpu, train, validation, test,
            found.choice,
        ),
        say,
    )  # fmt: skip


def good_split(records: Sequence[Record], *, seed: int) -> Split:
    """A seventh of the good groups each for validation and test, and the defects half and half; a given test part
    stays the test part, but for parts that it shares with the others."""
    good, defects = ([r for r in records if r.label == label] for label in (0, 1))
    if len(good) < LEAST_GOOD:
        raise DataError(f"{len(good)} good images are too few: at least {LEAST_GOOD} are needed")
    elsewhere = {record.group for record in good if record.split != "test"}
    given = [record for record in good if record.split == "test" and record.group not in elsewhere]
    if given and len(given) < len(good):
        validation = grouped_folds([r for r in good if r.group in elsewhere], 6, seed=seed)[0]
        test = given
    else:
        validation, test = grouped_folds(good, 7, seed=seed)[:2]
    taken = {record.path for record in (*validation, *test)}
    halves = grouped_folds(defects, 2, seed=seed) if len({r.group for r in defects}) > 1 else [[], defects]
    train = [record for record in good if record.path not in taken]
    return Split(train, validation + halves[0], test + halves[1])
