"""Figures of a cross-fitted training: each image was judged by a model that had not seen its part."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.records import Record
from training.fit.kinds import Known
from training.fit.part import Part
from training.proof.calibrate import CROSSED_OFFSET, at_prevalence, fit_calibration, scores
from training.trained import Trained


def cross_calibrated(
    logits: NDArray[np.float32],
    part: Part,
    fold_of: NDArray[np.int64],
    prevalence: float | None = None,
    *,
    expected: float | None = None,
) -> NDArray[np.float64]:
    """Scores (N,), each fold calibrated on the others, so that no image's label moves its own score; `expected` as in
    fit_calibration."""
    p = np.zeros(len(logits))
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        fitted = fit_calibration(
            logits[~inside],
            part.labels[~inside],
            part.groups[~inside],
            spread=CROSSED_OFFSET,
            expected=expected,
        )
        p[inside] = scores(logits[inside], at_prevalence(fitted, part.labels[~inside], prevalence))
    return p


def guard_parts(trained: Trained) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """The images to fit a guard on, to set its bounds by, and to count on; a cross-fitted set lends its first fold
    for the second, and for the last where no test part is given."""
    if trained.fold_of is None:
        return trained.train.images, trained.validation.images, trained.test.images
    first = trained.fold_of == 0
    images = trained.train.images
    own = images[first]
    return images[~first], own, own if trained.tests_itself else trained.test.images


def known_parts(trained: Trained) -> tuple[Known, Known, Known]:
    """The records and images from which the kinds of defects are learned and judged, as `guard_parts`; none to judge
    where no test part is given, for the network whose features tell the kinds has learned them all."""
    images = guard_parts(trained)
    split = trained.split
    learned = split.train if trained.sampled is None else trained.sampled
    records: tuple[Sequence[Record], ...] = (learned, split.validation, split.test)
    if trained.fold_of is not None:
        first = (trained.fold_of == 0).tolist()
        own, rest = (
            [record for record, inside in zip(split.train, first, strict=True) if inside is wanted]
            for wanted in (True, False)
        )
        if trained.tests_itself:
            return (rest, images[0]), (own, images[1]), ([], images[2][:0])
        records = (rest, own, split.test)
    return (records[0], images[0]), (records[1], images[1]), (records[2], images[2])
