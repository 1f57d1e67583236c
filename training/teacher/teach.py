"""A teacher for the small network: logistic regression on pretrained features, and a head over their places."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shared.errors import ItemError
from shared.registry.artifact import Calibration, Preprocessing
from shared.vision.lite0 import PLACE_DEPTH, FeatureNet
from shared.vision.preprocess import decode
from training.data.accepted import accepted
from training.data.folders import image_paths
from training.data.masks import Masks
from training.data.pixels import decode_files
from training.data.records import DataError, Listing, Record
from training.data.splits import Split, fold_places
from training.fit.choice import surely_better
from training.fit.part import Part
from training.fit.steps import example_weights
from training.proof.calibrate import scores
from training.teacher.features import Extractor
from training.teacher.logistic import Linear, cross_fit
from training.teacher.places import (
    MOST_BYTES,
    WIDTH,
    Head,
    Seen,
    epochs_within,
    fit_head,
    held_out_by_places,
)

Floats = NDArray[np.float32]

FOLDS = 5
_PLAIN = Calibration(1.0, 0.0)


@dataclass(frozen=True)
class Teacher:
    """The logit of a linear layer over pooled features, and of a head over places where that is surely better."""

    linear: Linear
    head: Head | None = None

    def logits(self, seen: Seen) -> Floats:
        """(N,)."""
        pooled = self.linear.logits(seen.pooled)
        return pooled if self.head is None or seen.places is None else pooled + self.head.logits(seen.places)


@dataclass(frozen=True)
class Lesson:
    """The teacher of all examples, and for each the logit of one that has not seen its group (N,)."""

    model: Teacher
    held_out: Floats


@dataclass(frozen=True)
class Taught:
    """A teacher, its logits for the training part by models that had not seen each group, and for validation."""

    extractor: Extractor
    model: Teacher
    held_out: Floats
    validation: Floats


def teach(extractor: Extractor, split: Split, train: Part, *, seconds: float = 0.0) -> Taught:
    """Fit on the training part; `train` holds its labels and groups in the order of split.train. A head over places
    may take so many CPU seconds."""
    epochs = head_epochs(extractor, len(train), seconds)
    seen = extractor.of_files([record.path for record in split.train], places=epochs > 0)
    fitted = fit_folds(seen, split.train, train, epochs=epochs)
    held = extractor.of_files(
        [record.path for record in split.validation], places=fitted.model.head is not None
    )
    return Taught(extractor, fitted.model, fitted.held_out, fitted.model.logits(held))


def head_epochs(
    extractor: Extractor, images: int, seconds: float, *, fits: int = FOLDS + 1, besides: int = 0
) -> int:
    """The epochs of a head over places that are to be had in so many seconds and in memory, which also holds the
    places of images `besides` those that it learns; 0: none."""
    places = extractor.place_count()
    if 2 * PLACE_DEPTH * places * (images + besides) > MOST_BYTES:
        return 0
    return epochs_within(seconds, images, places, fits)


def fit_folds(seen: Seen, records: Sequence[Record], part: Part, *, seed: int = 0, epochs: int = 0) -> Lesson:
    """Cross-fit by folds of whole groups; `seen` and `part` in the order of the records. With `epochs` a head over
    places is tried, which is kept where the mean of both has the smaller loss in nine of ten resamples."""
    folds = fold_places(records, FOLDS, seed=seed)
    weights = example_weights(part)
    pooled = cross_fit(seen.pooled, part.labels, weights, folds)
    if seen.places is None or not epochs:
        return Lesson(Teacher(pooled.model), pooled.held_out)
    by_places = held_out_by_places(seen.places, part.labels, weights, folds, epochs, part.masks)
    both = np.asarray((pooled.held_out + by_places) / 2, np.float32)
    if not surely_better(both, pooled.held_out, part):
        return Lesson(Teacher(pooled.model), pooled.held_out)
    head = fit_head(seen.places, part.labels, weights, epochs, part.masks)
    linear = pooled.model
    halved = Linear(np.asarray(linear.weights / 2, np.float32), linear.offset / 2, linear.strength)
    return Lesson(Teacher(halved, head.halved()), both)


def feature_net(extractor: Extractor, model: Teacher) -> FeatureNet:
    """The network that gives the teacher's logits."""
    net = FeatureNet(extractor.sizes, WIDTH if model.head else 0)
    net.trunk = extractor.net.trunk
    with torch.no_grad():
        net.head.weight.copy_(torch.from_numpy(model.linear.weights)[None])
        net.head.bias.fill_(model.linear.offset)
        if model.head is not None:
            for layer, weight, bias in (
                (net.look, model.head.look.T, model.head.look_offset),
                (net.point, model.head.point[None], np.array([model.head.offset], np.float32)),
            ):
                values = {"weight": weight[:, :, None, None].copy(), "bias": bias}
                layer.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})
    return net.eval()


def with_words(train: Part, held_out: Floats) -> Part:
    """The training part with the teacher's word for each image, from its held-out logits."""
    return replace(train, words=scores(held_out, _PLAIN).astype(np.float32))


@dataclass(frozen=True)
class Unlabelled:
    """Images (N, H, W, C) without labels, and their features."""

    images: NDArray[np.uint8]
    seen: Seen

    def taught_by(self, model: Teacher, train: Part) -> Part:
        """The training part with these images, whose labels are the teacher's alone."""
        if not len(self.images):
            return train
        word = scores(model.logits(self.seen), _PLAIN).astype(np.float32)
        assert train.words is not None
        first = int(train.groups.max()) + 1
        return Part(
            np.concatenate([train.images, self.images]),
            np.concatenate([train.labels, (word >= 0.5).astype(np.int64)]),
            np.concatenate([train.groups, np.arange(first, first + len(word))]),
            None,  # masks speak of labelled images alone
            np.concatenate([train.labels.astype(np.float32), word]),
            np.concatenate([train.words, word]),
        )


def unlabelled(
    files: Sequence[Path], extractor: Extractor, spec: Preprocessing, *, places: bool, threads: int
) -> Unlabelled:
    """Decode files for the small network, and take their features."""
    return Unlabelled(decode_files(files, spec, threads=threads), extractor.of_files(files, places=places))


def unlabelled_files(folder: Path, known: Sequence[Record], spec: Preprocessing) -> tuple[list[Path], int]:
    """The images of a folder that the service would judge and that are none of `known`, and how many are left out.

    A labelled image must not come back: one of the test part would be learned by another name. Raises DataError where
    the folder holds no image at all.
    """
    seen, within = {record.identity for record in known}, accepted()
    found = Listing([])
    paths, files = image_paths(folder, found), []
    left_out = len(found.hidden)
    if not paths:
        raise DataError(f"--unlabelled {folder} holds no image")
    masks = Masks(folder, paths)
    for path in paths:
        if path in masks:
            left_out += 1
            continue
        try:
            data = within.read(path)
            identity = hashlib.sha256(data).hexdigest()
            if identity in seen:
                left_out += 1
                continue
            decode(data, spec, within.limits)
        except ItemError:
            left_out += 1
            continue
        seen.add(identity)
        files.append(path)
    return files, left_out
