"""Families of like images, where nothing tells which images show one part.

Crops of one photograph, and photographs of one part, are alike in pretrained features. A model that has seen some of a
family knows the others again, so figures that such models share out at random are too good. How much too good shows
where whole families are kept apart: on parts that are known, these figures were near those of unseen parts
(docs/training.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.records import Record
from training.data.report import LikeImages
from training.data.splits import fold_places
from training.fit.scale import scale_of
from training.teacher.logistic import cross_fit

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

_LEAST, MOST = 100, 2000  # images: fewer tell nothing, and more take long
_LEAST_OF_LABEL = 20
_COUNTS = (8, 16, 32, 64)  # of families that are tried
_IMAGES_EACH = 10  # on average, at least
_DEPTH, _FAMILY_DEPTH = 256, 32  # of the directions in which the features differ most
_FOLDS = 5
# Of the largest loss, whose figures came nearest to those of true parts: more families that cost so much are taken, as
# parts were more than the families of the largest loss.
_NEARLY = 0.6
_ROUNDS = 50


@dataclass(frozen=True)
class Families:
    """Families with the middles `centres` (C, depth), and what they are worth to a model that has seen some of each."""

    view: "_View"
    centres: Floats
    worth: LikeImages

    def of(self, features: Floats, records: Sequence[Record]) -> Numbers:
        """The number of the family of each image (N,); a group of the records lies in one, that of most of its
        images."""
        return _whole_groups(_nearest(self.view.unit(features), self.centres), records)


@dataclass(frozen=True)
class _View:
    """The directions (F, depth) in which some features differ most."""

    mean: Floats
    scale: Floats
    lines: Floats

    def of(self, features: Floats) -> Floats:
        """(N, depth)."""
        return np.asarray((features - self.mean) / self.scale @ self.lines, np.float32)

    def unit(self, features: Floats) -> Floats:
        """The first of them, each image at the length 1."""
        near = self.of(features)[:, :_FAMILY_DEPTH]
        return np.asarray(near / np.maximum(np.linalg.norm(near, axis=1, keepdims=True), 1e-6), np.float32)


def families_of(features: Floats, records: Sequence[Record]) -> Families:
    """Features (N, F) in the order of the records, which are enough."""
    labels = np.array([record.label for record in records], np.int64)
    view = _view_of(features)
    seen, points = _evened(view.of(features)), view.unit(features)
    _, *together = _judged(seen, labels, records)
    tried = []
    for count in _COUNTS:
        if count * _IMAGES_EACH > len(records):
            break
        centres = _centres(points, count)
        number = _whole_groups(_nearest(points, centres), records)
        named = [replace(record, group=str(family)) for record, family in zip(records, number, strict=True)]
        tried.append((centres, *_judged(seen, labels, named)))
    _, most, *apart = max(tried, key=lambda each: each[1])
    centres = [each[0] for each in tried if each[1] >= _NEARLY * most][-1]
    return Families(view, centres, LikeImages(*together, *apart))


def are_enough(records: Sequence[Record]) -> bool:
    """Whether images of these records can tell of families."""
    defects = sum(record.label for record in records)
    return len(records) >= _LEAST and min(defects, len(records) - defects) >= _LEAST_OF_LABEL


def _view_of(features: Floats) -> _View:
    mean, scale = features.mean(0), scale_of(features)
    x = torch.from_numpy(np.asarray((features - mean) / scale, np.float32))
    torch.manual_seed(0)
    _, _, lines = torch.pca_lowrank(x, min(_DEPTH, *x.shape), center=False)
    return _View(mean, scale, lines.numpy())


def _evened(seen: Floats) -> Floats:
    """Turned at random, so that all columns differ alike: a logistic regression, which divides each by its spread,
    would else make as much of the last directions as of the first."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(seen.shape[1], seen.shape[1])))
    return np.asarray(seen @ turn, np.float32)


def _judged(seen: Floats, labels: Numbers, records: Sequence[Record]) -> tuple[float, float, float]:
    """The loss of models that have not seen the group of each image, both labels counted alike, and the shares of all
    images and of the good ones that they tell right."""
    counts = np.bincount(labels, minlength=2)
    weights = len(labels) / 2 / counts[labels]
    logits = cross_fit(seen, labels, weights, fold_places(records, _FOLDS, seed=0)).held_out
    loss = np.logaddexp(0, np.where(labels == 1, -logits, logits))
    right = (logits > 0) == (labels == 1)
    return float((loss * weights).mean()), float((right * weights).mean()), float(right[labels == 0].mean())


def _centres(points: Floats, count: int) -> Floats:
    """The middles (count, depth) of clusters by k-means, from points that lie apart (k-means++)."""
    rng = np.random.default_rng(0)
    centres = points[rng.integers(len(points))][None]
    for _ in range(count - 1):
        far = _distances(points, centres).min(1)
        centres = np.concatenate([centres, points[rng.choice(len(points), p=far / far.sum())][None]])
    for _ in range(_ROUNDS):
        number = _nearest(points, centres)
        moved = np.stack(
            [points[number == c].mean(0) if (number == c).any() else centres[c] for c in range(count)]
        )
        if np.allclose(moved, centres):
            break
        centres = moved
    return np.asarray(centres, np.float32)


def _nearest(points: Floats, centres: Floats) -> Numbers:
    return np.asarray(_distances(points, centres).argmin(1), np.int64)


def _distances(points: Floats, centres: Floats) -> NDArray[np.float64]:
    """Squared, (N, C)."""
    squared = (points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1)
    return np.asarray(np.maximum(squared, 1e-12), np.float64)


def _whole_groups(number: Numbers, records: Sequence[Record]) -> Numbers:
    """Each group of the records in one family, that of most of its images."""
    _, group = np.unique([record.group for record in records], return_inverse=True)
    votes = np.zeros((group.max() + 1, number.max() + 1), np.int64)
    np.add.at(votes, (group, number), 1)
    return np.asarray(votes.argmax(1)[group], np.int64)
