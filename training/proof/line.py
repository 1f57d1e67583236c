"""Labelled images as a stand-in for a line with another share of defective parts than they have."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def shares(labels: NDArray[np.int64], prevalence: float | None) -> Floats:
    """How many of the parts to be judged each image stands for: as many as there are images together. Each stands for
    one where no prevalence is stated or a label is absent."""
    defects = float(labels.mean())
    if prevalence is None or not 0 < defects < 1:
        return np.ones(len(labels))
    return np.where(labels == 1, prevalence / defects, (1 - prevalence) / (1 - defects))


def as_labelled(p: Floats, labels: NDArray[np.int64], prevalence: float | None) -> Floats:
    """Scores for the share of defects that the labels have, from scores p (N,) for a line with `prevalence`."""
    defects = float(labels.mean())
    if prevalence is None or not 0 < defects < 1:
        return p
    defect, good = p * defects / prevalence, (1 - p) * (1 - defects) / (1 - prevalence)
    return np.asarray(defect / (defect + good))
