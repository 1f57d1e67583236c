"""Accuracy, error rates and calibration of scores, with intervals that show how little a small test part proves."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.json_text import Card
from training.proof.calibrate import BINS, bins_of, expected_calibration_error
from training.proof.line import shares
from training.proof.student import student

Z95 = 1.959963984540054
RESAMPLES = 500  # of the groups, for the interval of the calibration error
# Of an image that was cross-fitted: its model learned from the other images, so they err together, and their accuracy
# scatters about the one on fresh images by 1.3 times as much as that of independent images would.
CROSSED_WORTH = 0.5
ECE_LEAST_IMAGES = 200  # with fewer, the error of its bins is mostly chance


@dataclass(frozen=True)
class Interval:
    """A share with its 95 % interval, all 0 to 1."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2%} ({self.low:.2%}–{self.high:.2%})"


def wilson(hits: int, total: int, *, worth: float = 1.0) -> Interval:
    """Wilson's score interval for a share of images, each of which counts as `worth` independent ones; total 0 gives 0
    to 1."""
    if total == 0:
        return Interval(float("nan"), 0.0, 1.0)
    return _wilson(hits / total, total * worth)


def _wilson(share: float, total: float) -> Interval:
    spread = Z95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def by_groups(
    hit: NDArray[np.bool_], groups: NDArray[np.int64], labels: NDArray[np.int64], *, worth: float = 1.0
) -> Interval:
    """Share of hits (N,) with an interval for parts that were not seen: images of one part are one piece of news.

    Wilson's interval for as many independent images as would scatter like the groups. Few groups widen it as Student's
    t does, with the degrees of freedom of Welch and Satterthwaite: four good parts stay four beside a hundred
    defective ones. Their scatter says nothing of a label where less than one whole group went wrong (or right): each
    of its groups counts as one image then. `worth` as in wilson.
    """
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    hits, sizes = np.bincount(place, hit), np.bincount(place)
    count, total = len(sizes), len(hit)
    share = float(hit.mean())
    if count == total:
        return wilson(int(hit.sum()), total, worth=worth)
    each = _unseen(hit, place, labels)  # the reciprocal of the number of independent images
    if 0 < share < 1:
        away = np.square(hits - share * sizes)
        scatter = float(away.sum()) / total**2 * count / max(1, count - 1)
        alike = min(float(total), share * (1 - share) / scatter) if scatter > 0 else float(count)
        each += (student(0.025, _freedom(away, labels[first])) / Z95) ** 2 / alike
    return _wilson(share, max(1.0, worth / each))


def _unseen(hit: NDArray[np.bool_], place: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Variance of the share of hits, in that of one image, for groups unlike those seen; `place` numbers the groups.

    Four parts without an error do not rule out that one part in ten fails as a whole, and neither do four parts with a
    single wrong image. A label adds all of it where no group went wrong and none of it from one whole group on.
    """
    found = 0.0
    for label in np.unique(labels):
        own = labels == label
        sizes = np.bincount(place[own])
        # Groups of one size that would weigh as much.
        count = float(sizes.sum()) ** 2 / float(np.square(sizes).sum())
        share = float(hit[own].mean())
        found += float(own.mean()) ** 2 / count * max(0.0, 1 - count * min(share, 1 - share))
    return found


def _freedom(away: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Degrees of freedom of a variance to which the groups (G,) of both labels add, each as much as it lies away."""
    own = [away[labels == label] for label in np.unique(labels)]
    below = sum(float(each.sum()) ** 2 / max(1, len(each) - 1) for each in own)
    return float(away.sum()) ** 2 / below if below > 0 else max(1.0, float(len(away) - 1))


def on_line(escapes: Interval, rejects: Interval, prevalence: float, *, together: bool = False) -> Interval:
    """The accuracy on a line of which the share `prevalence` is defective, from the escape and the false-reject rate.

    The distances to the limits are squared and added (Newcombe's hybrid score); `together` adds them as they are, for
    labels whose images show the same parts and may err together.
    """
    both = ((prevalence, escapes), (1 - prevalence, rejects))
    value = 1 - sum(share * rate.value for share, rate in both)
    below, above = (
        sum(each) if together else math.hypot(*each)
        for each in (
            [share * (rate.high - rate.value) for share, rate in both],
            [share * (rate.value - rate.low) for share, rate in both],
        )
    )
    return Interval(value, max(0.0, value - below), min(1.0, value + above))


def auroc(p: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The chance that a defect scores above a good part, ties counting half; NaN where one class is
    absent."""
    values, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    defects = int(labels.sum())
    goods = len(labels) - defects
    if not defects or not goods or not len(values):
        return float("nan")
    return float((rank[place][labels == 1].sum() - defects * (defects + 1) / 2) / (defects * goods))


def precision_recall(
    p: NDArray[np.float64], labels: NDArray[np.int64], prevalence: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall at every threshold, highest first; the precision is that of a line with `prevalence`."""
    order = np.argsort(-p, kind="stable")
    caught, weights = np.cumsum(labels[order]), shares(labels, prevalence)[order]
    precision = np.cumsum(weights * labels[order]) / np.cumsum(weights)
    return precision, caught / max(1, int(labels.sum()))


def calibration_error(
    p: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> Interval:
    """ECE with an interval from resampled groups; NaN where the images are too few to carry one.

    The error is the sum of the bins' gaps between score and share of defects, each without its sign. So it is no
    farther from the true error than its gaps together are from the true ones, and resampling shows how far that is.
    The interval holds a true error of 0 so, although chance gives every bin a gap.
    """
    if len(p) < ECE_LEAST_IMAGES:
        return Interval(math.nan, math.nan, math.nan)
    value = expected_calibration_error(p, labels)
    _, place = np.unique(groups, return_inverse=True)
    sizes = np.bincount(place)
    gaps = np.zeros((len(sizes), BINS))
    np.add.at(gaps, (place, bins_of(p)), p - labels)
    seen = gaps.sum(0) / len(p)
    # Resampling of few groups scatters too little, by the usual n - 1 of n.
    few = np.maximum(2, np.count_nonzero(gaps, axis=0))
    rng = np.random.default_rng(seed)
    moved = []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(len(sizes), size=len(sizes)), minlength=len(sizes))
        off = np.abs(times @ gaps / (times @ sizes) - seen)
        moved.append(float((off * np.sqrt(few / (few - 1))).sum()))
    reach = float(np.quantile(moved, 0.95))
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach))


@dataclass(frozen=True)
class Report:
    """Metrics of one part at one operating point. Accuracy and both rates are of the threshold alone, and
    `accuracy_at_half` is where both mistakes cost the same; the images that the review band hands to a person are
    counted separately. The accuracies and the average precision are those of a line with `prevalence`, where it is
    stated and both labels are there."""

    pictures: int
    groups: int
    defects: int
    accuracy: Interval
    accuracy_by_groups: Interval
    accuracy_at_half: Interval
    escapes: int
    escape_rate: Interval
    false_rejects: int
    false_reject_rate: Interval
    auroc: float
    average_precision: float
    ece: float
    ece_low: float
    ece_high: float
    log_loss: float
    reviewed: int
    escapes_after_review: int
    false_rejects_after_review: int
    prevalence: float | None = None

    def as_card(self) -> Card:
        """JSON-ready; what is no number becomes None."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def report(
    p: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    point: OperatingPoint,
    *,
    crossed: bool = False,
    prevalence: float | None = None,
    unlike: NDArray[np.bool_] | None = None,
) -> Report:
    """Every figure of a card for scores p (N,), labels (N,) 1 = defect, groups (N,); `crossed` scores are those of
    cross-fitting, and `prevalence` is that of the line that the scores are for. Images that are `unlike` (N,) those of
    the model go to review."""
    worth = CROSSED_WORTH if crossed else 1.0
    called = p >= point.threshold
    defect = labels == 1
    hit = called == defect
    review = (p >= point.review_low) & (p <= point.review_high) & (point.review_low < point.review_high)
    if unlike is not None:
        review |= unlike
    escapes, false_rejects = int((defect & ~called).sum()), int((~defect & called).sum())
    defects = int(defect.sum())
    prevalence = prevalence if 0 < defects < len(p) else None
    precision, recall = precision_recall(p, labels, prevalence)
    at_half, alone = (p >= 0.5) == defect, np.arange(len(p))
    accuracy, accuracy_by_groups, accuracy_at_half = (
        by_groups(right, parts, labels, worth=worth)
        if prevalence is None
        else _on_line(right, labels, parts, worth, prevalence)
        for right, parts in ((hit, alone), (hit, groups), (at_half, alone))
    )
    ece = calibration_error(p, labels, groups)
    safe = np.clip(np.where(defect, p, 1 - p), 1e-12, 1)
    return Report(
        pictures=len(p),
        groups=len(np.unique(groups)),
        defects=defects,
        accuracy=accuracy,
        accuracy_by_groups=accuracy_by_groups,
        accuracy_at_half=accuracy_at_half,
        escapes=escapes,
        escape_rate=wilson(escapes, defects, worth=worth),
        false_rejects=false_rejects,
        false_reject_rate=wilson(false_rejects, len(p) - defects, worth=worth),
        auroc=auroc(p, labels),
        average_precision=float((np.diff(recall, prepend=0.0) * precision).sum()) if defects else math.nan,
        ece=ece.value,
        ece_low=ece.low,
        ece_high=ece.high,
        log_loss=float(-np.log(safe).mean()),
        reviewed=int(review.sum()),
        escapes_after_review=int((defect & ~called & ~review).sum()),
        false_rejects_after_review=int((~defect & called & ~review).sum()),
        prevalence=prevalence,
    )


def _on_line(
    hit: NDArray[np.bool_],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    worth: float,
    prevalence: float,
) -> Interval:
    defect = labels == 1
    escapes, rejects = (
        by_groups(~hit[own], groups[own], labels[own], worth=worth) for own in (defect, ~defect)
    )
    together = len(np.intersect1d(groups[defect], groups[~defect])) > 0
    return on_line(escapes, rejects, prevalence, together=together)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
