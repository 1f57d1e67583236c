"""Train on good parts alone: an image is a defect where its places lie far from all places of good images, or where a
network sees in it what it saw in images with drawn damage."""

import time
from dataclasses import replace
from pathlib import Path

import torch

from shared.registry.artifact import Artifact
from training.data.check import apart
from training.data.decoded import decoded
from training.data.records import Source, shown, source_of
from training.data.report import Report
from training.effects import refuse_for_good_parts
from training.good.fitting import fit_good, form_of
from training.good.split import good_split
from training.network import preprocessing_of
from training.options import Options
from training.output import plots
from training.progress import Say
from training.proof.prove import prove
from training.run_folder import begin
from training.teacher.weights import pretrained
from training.trained import Trained

FEW_DEFECTS = 10  # with fewer, nothing can be learned from them; they help to set the threshold
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
    split, how = good_split(looked.records, seed=options.seed, tested=test_folder is not None)
    if test_folder is not None:
        tested = apart(test_folder, looked, full_scale=options.full_scale, say=say)
        split = replace(split, test=tested)
        how += f"; the test part is the folder {shown(source_of(test_folder).path.name)}"
    if (step := -(-len(split.train) // MOST_IMAGES)) > 1:
        how += f"; one good image in {step} is learned"
        split = replace(split, train=split.train[::step])
    pretrained()  # where they are missing, nothing has been written yet
    _, clock = begin(split, how, options, say)
    started, started_cpu = clock(), time.process_time()
    form = form_of(preprocessing_of(looked, options))
    train, validation, test = (
        decoded(part, form.spec, threads=options.threads)
        for part in (split.train, split.validation, split.test)
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
