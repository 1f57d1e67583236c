"""Run a training, from a folder to a proven artifact: look, split, decode, fit, calibrate, choose, prove, write."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from shared.clock import now, rfc3339
from shared.registry.artifact import Artifact, Preprocessing
from shared.vision.net import Shape, multiplications
from training.data.check import check
from training.data.choose import choose_split
from training.data.decoded import decoded
from training.data.records import DataError, Source
from training.data.report import Report
from training.data.splits import Split, part_hash
from training.fit import recipe
from training.fit.augment import Liberties, liberties
from training.fit.pace import clock_for
from training.fit.part import Part
from training.fit.start import starting_weights
from training.fit.train import Progress, Say, fit, no_progress
from training.options import Options
from training.output import plots
from training.proof.operating_point import check_promise
from training.proof.prove import prove, write_json
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
    looked = check(folder, full_scale=options.full_scale, progress=progress)
    say(looked.as_text())
    split, how = choose_split(looked, options)
    if test_folder is not None:
        looked_test = check(test_folder, full_scale=options.full_scale)
        known = {record.identity for record in looked.records}
        if any(record.identity in known for record in looked_test.records):
            raise DataError(f"{looked_test.folder} holds images that are also in {looked.folder}")
        split = Split(split.train + split.test, split.validation, looked_test.records)
        how = f"{how}; the test part is the folder {looked_test.folder}"
    return train_split(looked, split, how, options, say=say, progress=progress)


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
    check_promise(split.validation, options.costs)
    options.output.mkdir(parents=True, exist_ok=True)
    test_sha256 = part_hash(split.test)
    write_json(
        options.output / "split.json",
        {"split": how, "seed": options.seed, "test_sha256": test_sha256, "made_at": rfc3339(now())}
        | {
            name: [record.identity for record in getattr(split, name)]
            for name in ("train", "validation", "test")
        },
    )
    say(
        f"split: {how}; {len(split.train)}/{len(split.validation)}/{len(split.test)}; test part {test_sha256[:16]}"
    )
    torch.set_num_threads(options.threads)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    clock = clock_for(device)
    started, started_cpu = clock(), time.process_time()

    original = options.preset == "original"
    spec = _preprocessing(looked, options)
    train, validation, test = (
        decoded(part, spec, threads=options.threads) for part in (split.train, split.validation, split.test)
    )
    few_parts = looked.has_groups and _parts(train) < recipe.FEW_PARTS
    freedom = Liberties(False, False, False, False)
    if not original:
        freedom = liberties(train.images, few_parts=few_parts)
    shape = recipe.original_shape() if original else _shape(spec, freedom, few_parts, options)
    start = starting_weights(options.start, shape)
    say(
        f"{spec.width} x {spec.height} x {spec.channels}, {multiplications(shape) / 1e6:.1f} M multiply-adds an image"
    )
    if start is not None:
        say(f"starts from the weights of {start.name}")
    taught, taught_on = None, train
    if not original:
        taught, taught_on = lessons(split, spec, train, options, say, progress)
    fitted = fit(
        shape,
        taught_on,
        validation,
        start=start.weights if start else None,
        budget_s=options.budget_min * 60 - (clock() - started),
        freedom=freedom,
        plan=recipe.ORIGINAL_PLAN if original else None,
        device=device,
        seed=options.seed,
        say=say,
        progress=progress,
    )
    say(f"{fitted.stop_reason}; epoch {fitted.best_epoch} is kept")
    best = Served(fitted.net, shape, spec, train, validation, test, None)
    if taught is not None:
        best = served(best, taught, split, options)
        say(f"serves: {best.choice}")
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
            freedom,
            start,
            replace(fitted, net=best.net),
            time.process_time() - started_cpu,
            best.train,
            best.validation,
            best.test,
            best.choice,
            len(taught_on) - len(train),
        ),
        say,
    )


def _preprocessing(looked: Report, options: Options) -> Preprocessing:
    if options.preset == "original":
        shape = recipe.original_shape()
        return Preprocessing(shape.width, shape.height, shape.channels, options.full_scale)
    sizes = [
        (int(width), int(height))
        for size, count in looked.sizes.items()
        for width, height in [size.split("x")]
        for _ in range(count)
    ]
    colour = recipe.has_colour([record.path for record in looked.records])
    return recipe.preprocessing_for(sizes, colour, side=options.side, full_scale=options.full_scale)


def _shape(spec: Preprocessing, freedom: Liberties, few_parts: bool, options: Options) -> Shape:
    limit = int(options.speed * 1e6) if options.speed else None
    mirrors = options.mirrors or recipe.mirrors_for(
        spec, freedom.mirror_sideways, freedom.mirror_upright, few_parts
    )
    return recipe.shape_for(spec, mirrors=mirrors, limit=limit)


def _parts(part: Part) -> int:
    """How many different parts the rarer label shows."""
    return min(len(np.unique(part.groups[part.labels == label])) for label in (0, 1))
