"""Figures that make a card doubtful or useful: risk over coverage, likely label errors, and shortcuts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.json_text import Card
from training.proof.line import as_labelled, shares

_COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
_MOST_NAMED = 20
_LEAST = 0.1
# A model of brightness, size or place alone that is right so often leaves a network's figure without meaning.
_SHORTCUT = 0.9
_SHORTCUT_GAIN = 0.5  # of the way from guessing to the network


def risk_coverage(
    p: NDArray[np.float64], labels: NDArray[np.int64], point: OperatingPoint, prevalence: float | None = None
) -> list[dict[str, float]]:
    """The error rate among the images that are judged, when the least certain ones go to a person first; on a line with
    `prevalence`, where it is stated."""
    room = np.where(p >= point.threshold, 1 - point.threshold, point.threshold)
    certainty = np.abs(p - point.threshold) / np.maximum(room, 1e-9)
    order = np.argsort(-certainty, kind="stable")
    weights = shares(labels, prevalence)[order]
    wrong, judged = weights * ((p >= point.threshold) != (labels == 1))[order], np.cumsum(weights)
    found = []
    for coverage in _COVERAGES:
        last = int(np.argmin(np.abs(judged - coverage * judged[-1])))
        error = float(wrong[: last + 1].sum() / judged[last])
        found.append({"coverage": coverage, "error": round(error, 5)})
    return found


def likely_label_errors(
    names: Sequence[str], p: NDArray[np.float64], labels: NDArray[np.int64], prevalence: float | None = None
) -> list[Card]:
    """Images whose label a model that did not learn them contradicts, the surest contradiction first.

    An image is named where its chance of the other label is above one half and above those of the least certain tenth
    of the images that carry that label. Held-out scores p (N,), of a line with `prevalence` where it is stated; these
    images are judged by the share of defects that they have themselves.
    """
    if len(np.unique(labels)) < 2:
        return []
    own = as_labelled(p, labels, prevalence)
    bound = {
        label: float(np.quantile(np.where(label, own, 1 - own)[labels == label], _LEAST)) for label in (0, 1)
    }
    other = np.where(labels == 1, 1 - own, own)
    wanted = np.where(labels == 1, bound[0], bound[1])
    doubtful = np.flatnonzero((other >= wanted) & (other > 0.5))
    order = doubtful[np.argsort(-other[doubtful], kind="stable")][:_MOST_NAMED]
    return [
        {"file": names[i], "label": "defect" if labels[i] else "no_defect", "score": round(float(p[i]), 4)}
        for i in order
    ]


def shortcuts(baselines: dict[str, float], accuracy: float, *, knows_parts: bool = True) -> list[str]:
    """Warnings about models that see no part and are nearly as good as the network; names as in the card. Where the
    parts are not known, such a model may also know a part again."""
    again = "" if knows_parts else ", or both sides of the split show the same parts"
    guess = baselines["majority"]
    found = []
    for name, value in baselines.items():
        if name == "majority" or value <= guess:
            continue
        if value >= _SHORTCUT and value - guess >= _SHORTCUT_GAIN * (accuracy - guess):
            found.append(
                f"{_SEES[name]} alone tells {value:.1%} of the test part right: the labels may follow how the images "
                f"were taken, and not the parts{again}"
            )
    return found


_SEES = {
    "histogram": "brightness",
    "pixels_16x16": "a view of 16 x 16 pixels",
    "border": "the border of the image",
    "file_size": "the size of the file",
    "image_size": "the number of pixels of each side",
}
