"""Train on few parts: each image is judged by a model that has not seen its part, and the served model sees all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.registry.artifact import Artifact
from shared.vision.net import Shape
from training.data.choose import set_aside
from training.data.decoded import decoded
from training.data.records import Record
from training.data.report import Report
from training.data.splits import CROSSED, Split, fold_numbers, fold_places, rarer_groups
from training.fit.choice import CASCADE, FEATURES, SMALL, choose_served
from training.fit.part import Part
from training.fit.train import Fitted, fit, predict
from training.network import Network, network_for, preprocessing_of
from training.options import Options
from training.output import plots
from training.output.candidates import choice_lines
from training.progress import Progress, Say
from training.proof.operating_point import boundary
from training.proof.prove import prove
from training.proof.speed import pace_of
from training.run_folder import begin
from training.served import mean_net, mean_shape
from training.teacher.features import Extractor
from training.teacher.lessons import HEAD_SHARE, extractor_for, files_without_labels, say_unlabelled
from training.teacher.places import WIDTH, Seen
from training.teacher.teach import (
    FOLDS,
    Lesson,
    Unlabelled,
    feature_net,
    fit_folds,
    head_epochs,
    unlabelled,
    with_words,
)
from training.trained import Trained

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

MOST_FOLDS = 5
FEW = 60  # parts of the rarer label: a test part of 15 % would hold nine of them


def is_few(learned: Sequence[Record], options: Options) -> bool:
    """Whether a split of these records would leave too few parts to set a threshold by, and to measure on.

    A promise needs a part that the serving model has not seen, so it is never cross-fitted.
    """
    may = options.preset == "recipe" and options.split == "auto" and options.costs.max_escape_rate is None
    return may and 2 <= rarer_groups(learned) < FEW


@dataclass(frozen=True)
class _Study:
    """All images that are learned, and how each network learns from some of them. `features` is None without a
    teacher, and `more` without unlabelled images; `epochs` are those of a head over places."""

    records: list[Record]
    every: Part
    network: Network
    features: Seen | None
    more: Unlabelled | None
    epochs: int
    budget_s: float
    device: str
    options: Options
    progress: Progress

    def learn(self, places: Places, judged: Places) -> tuple[Fitted, Lesson | None]:
        """The small network and the teacher of the images at `places` (n,)."""
        part, taught = _at(self.every, places), None
        if self.features is not None:
            records = [self.records[i] for i in places]
            taught = fit_folds(self.features[places], records, part, epochs=self.epochs)
            part = with_words(part, taught.held_out)
            part = part if self.more is None else self.more.taught_by(taught.model, part)
        fitted = fit(
            self.network.shape,
            part,
            _at(self.every, judged),
            budget_s=self.budget_s,
            freedom=self.network.freedom,
            start=self.network.start.weights if self.network.start else None,
            device=self.device,
            seed=self.options.seed,
            keep_last=True,
            say=lambda line: None,
            progress=self.progress,
        )
        return fitted, taught

    def held_out(self, folds: Sequence[Places], say: Say) -> tuple[Floats, Floats]:
        """Logits (N,) of the small network and of the teacher (0 without one), by models that have not seen the group
        of each image."""
        small, others = (np.zeros(len(self.records), np.float32) for _ in range(2))
        for number, fold in enumerate(folds):
            fitted, taught = self.learn(np.setdiff1d(np.arange(len(self.records)), fold), fold)
            small[fold] = predict(fitted.net, self.every.images[fold])
            if taught is not None and self.features is not None:
                others[fold] = taught.model.logits(self.features[fold])
            say(f"fold {number + 1} of {len(folds)}: {len(fold)} images judged, {fitted.seconds:.0f} s")
        return small, others


def train_crossed(
    looked: Report,
    learned: list[Record],
    tested: list[Record] | None,
    options: Options,
    *,
    say: Say,
    progress: Progress,
) -> Artifact:
    """Cross-fit `learned` by folds of whole groups, and measure on `tested` where there is such a part; writes the run
    folder and returns the artifact in it."""
    folds = _folds(learned, options.seed)
    how = f"{CROSSED} in {len(folds)} folds by whole groups: each image judged by a model that did not see its part"
    how += set_aside(looked) if tested is None else "; the test part is given"
    split = Split(learned, learned, learned if tested is None else tested)
    device, clock = begin(split, how, options, say)
    started, started_cpu = clock(), time.process_time()
    spec = preprocessing_of(looked, options)
    every = decoded(learned, spec, threads=options.threads)
    network = network_for(spec, every, looked, options, say)
    files, left_out = files_without_labels([*learned, *split.test], spec, options)
    extractor = extractor_for(spec, len(learned) + len(files), options, say)
    features, more, epochs = None, None, 0
    if extractor is not None:
        fits = (len(folds) + 1) * (FOLDS + 1)
        seconds = HEAD_SHARE * options.budget_min * 60
        epochs = head_epochs(extractor, len(learned), seconds, fits=fits, besides=len(files))
        features = extractor.of_files([record.path for record in learned], places=epochs > 0)
        if options.unlabelled is not None:
            more = unlabelled(files, extractor, spec, places=epochs > 0, threads=options.threads)
            say_unlabelled(len(files), left_out, say)
    budget = (options.budget_min * 60 - (clock() - started)) / (len(folds) + 1)
    study = _Study(learned, every, network, features, more, epochs, budget, device, options, progress)
    small, others = study.held_out(folds, say)
    fitted, taught = study.learn(np.arange(len(learned)), np.arange(len(learned)))
    net, shape, logits, choice = fitted.net, network.shape, small, None
    if extractor is not None and taught is not None:
        net, shape, logits, choice = _best(small, others, every, network, extractor, fitted, taught, options)
        for line in choice_lines({"choice": choice}):
            say(line.removeprefix("- "))
    if shape.kind != "residual" and extractor is not None:
        spec, every = extractor.strong, decoded(learned, extractor.strong, threads=options.threads)
    test = every if tested is None else decoded(tested, spec, threads=options.threads)
    fitted = replace(fitted, net=net, seconds=clock() - started)
    torch.save(net.state_dict(), options.output / "best_model.pt")
    plots.curves(fitted.history, fitted.best_epoch, options.output / "training_curves.png")
    return prove(
        Trained(
            looked, split, how, options, spec, shape, network.freedom, network.start, fitted,
            time.process_time() - started_cpu, every, every, test, choice, len(files), logits,
            fold_numbers(folds, len(learned)),
        ),
        say,
    )  # fmt: skip


def _best(
    small: Floats,
    features: Floats,
    every: Part,
    network: Network,
    extractor: Extractor,
    fitted: Fitted,
    taught: Lesson,
    options: Options,
) -> tuple[nn.Module, Shape, Floats, dict[str, object]]:
    """The network that serves, with its shape, its held-out logits and the lines of the card."""
    pace = pace_of(fitted.net, network.shape, every.images, extractor, options.images_per_second)
    centre, both = boundary(options.costs, every.labels), {SMALL: small, FEATURES: features}
    choice = choose_served(both, every, options.serve, pace, few=True, centre=centre)
    if choice.kind == SMALL:
        return fitted.net, network.shape, choice.logits, choice.card
    strong, sizes = extractor.strong, extractor.sizes
    net: nn.Module = feature_net(extractor, taught.model)
    places = WIDTH if taught.model.head else 0
    if choice.kind == FEATURES:
        shape = Shape("features", strong.height, strong.width, strong.channels, sizes=sizes, places=places)
        return net.eval(), shape, choice.logits, choice.card
    shape = mean_shape(network.shape, network.spec, strong, sizes, places)
    shape = replace(shape, unsure=choice.unsure) if choice.kind == CASCADE else shape
    mean = mean_net(shape, fitted.net, net, torch.from_numpy(choice.scales))
    return mean.eval(), shape, choice.logits, choice.card


def _folds(records: Sequence[Record], seed: int) -> list[Places]:
    """Places of each fold; fewer folds where a label shows fewer parts, so that each fold holds both labels."""
    return fold_places(records, min(MOST_FOLDS, rarer_groups(records)), seed=seed)


def _at(part: Part, places: Places) -> Part:
    masks = None if part.masks is None else part.masks[places]
    return Part(part.images[places], part.labels[places], part.groups[places], masks)
