"""Run a training, from a folder to a proven artifact: look, split, decode, fit, calibrate, choose, prove, write."""

import time
from dataclasses import replace
from pathlib import Path

import torch

from shared.registry.artifact import Artifact
from training.crossfit import is_few, train_crossed
from training.data.check import apart, check
from training.data.choose import choose_split, given_test
from training.data.decoded import decoded
from training.data.promised import check_parts
from training.data.records import Record, Source, shown, source_of
from training.data.report import Report
from training.data.splits import Split
from training.effects import refuse_idle, refuse_seen
from training.fit.recipe import ORIGINAL_PLAN
from training.fit.train import fit
from training.good.split import good_split
from training.good.train import is_good_only, train_good
from training.kept_apart import keep_families_apart
from training.network import network_for, preprocessing_of
from training.options import Options
from training.output import plots
from training.output.candidates import choice_lines
from training.progress import Progress, Say, no_progress
from training.proof.operating_point import check_promise
from training.proof.prove import prove
from training.run_folder import begin
from training.served import Served, served
from training.teacher.lessons import lessons
from training.trained import Trained


def train_folder(
    folder: Path | Source,
    options: Options,
    *,
    test_folder: Path | Source | None = None,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Check a folder, split it, train on it and write the run folder. Raises DataError for unusable data."""
    refuse_idle(options)
    refuse_seen(options)
    looked = check(folder, full_scale=options.full_scale, progress=progress)
    say(looked.as_text())
    keep_families_apart(looked, folder, options, say)
    check_parts(looked.records, options.costs)
    if is_good_only(looked, options):
        return train_good(looked, options, test_folder=test_folder, say=say)
    tested = (
        None if test_folder is None else apart(test_folder, looked, full_scale=options.full_scale, say=say)
    )
    given = None if tested is not None else given_test(looked)
    learned = _learned(looked, given)
    if is_few(learned, options):
        part = tested if tested is not None else given and given[1]
        return train_crossed(looked, learned, part, options, say=say, progress=progress)
    split, how = choose_split(looked, options)
    if test_folder is not None and tested is not None:
        split = replace(split, train=split.train + split.test, test=tested)
        how = f"{how}; the test part is the folder {shown(source_of(test_folder).path.name)}"
    return train_split(looked, split, how, options, say=say, progress=progress)


def refuse_untrainable(looked: Report) -> None:
    """Raise DataError where `train_folder`, with the usual options, would find too little to learn from or to measure
    on."""
    options = Options(name=looked.folder, output=Path())
    if is_good_only(looked, options):
        good_split(looked.records, seed=options.seed)
    elif not is_few(_learned(looked, given_test(looked)), options):
        choose_split(looked, options)


def _learned(looked: Report, given: tuple[list[Record], list[Record]] | None) -> list[Record]:
    """All records but those of a given test part."""
    return looked.records if given is None else given[0]


def train_split(
    looked: Report,
    split: Split,
    how: str,
    options: Options,
    *,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Train on a split that is made already; writes the run folder and returns the artifact in it."""
    check_promise(split.proof or [], options.costs)
    device, clock = begin(split, how, options, say)
    started, started_cpu = clock(), time.process_time()
    spec = preprocessing_of(looked, options)
    train, validation, test = (
        decoded(part, spec, threads=options.threads) for part in (split.train, split.validation, split.test)
    )
    network = network_for(spec, train, looked, options, say)
    taught, taught_on = None, train
    if options.preset != "original":
        taught, taught_on = lessons(split, spec, train, options, say)
    fitted = fit(
        network.shape,
        taught_on,
        validation,
        start=network.start.weights if network.start else None,
        gentle=options.go_on is not None,
        budget_s=options.budget_min * 60 - (clock() - started),
        freedom=network.freedom,
        plan=ORIGINAL_PLAN if options.preset == "original" else None,
        device=device,
        seed=options.seed,
        say=say,
        progress=progress,
    )
    say(f"{fitted.stop_reason}; epoch {fitted.best_epoch} is kept")
    best = Served(fitted.net, network.shape, spec, train, validation, test, None)
    if taught is not None:
        best = served(best, taught, split, options)
        for line in choice_lines({"choice": best.choice}):
            say(line.removeprefix("- "))
    proof = None
    if split.proof is not None:
        defects = [record for record in split.proof if record.label]
        proof = decoded(defects, best.spec, threads=options.threads)
    torch.save(best.net.state_dict(), options.output / "best_model.pt")
    plots.curves(fitted.history, fitted.best_epoch, options.output / "training_curves.png")
    return prove(
        Trained(
            looked,
            split,
            how,
            options,
            best.spec,
            best.shape,
            network.freedom,
            network.start,
            replace(fitted, net=best.net),
            time.process_time() - started_cpu,
            best.train,
            best.validation,
            best.test,
            best.choice,
            len(taught_on) - len(train),
            proof=proof,
            sampled=best.sampled,
        ),
        say,
    )
