"""Drift: images of a line are judged, and their scores and distances from the guard no longer look like the reference.

The reference is images that the model was not fitted on, good and defective parts apart. A line may make more or fewer
defects than the test part has, and that is no drift: a window of images is compared with the mix of good and defective
parts that fits it best. The distance is that of Kolmogorov and Smirnov, the largest difference between two cumulative
distributions, over fixed bins.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.json_text import Card

# A window without drift passes the limit at most this often, for both measures together.
FALSE_ALARMS = 0.001
# Lots differ a little from each other: a smaller distance is no drift, however many images show it.
LEAST_DISTANCE = 0.08
SCORE, UNFAMILIARITY = "score", "unfamiliarity"
MEASURES = (SCORE, UNFAMILIARITY)
# Bins of a score by its log-odds, from -8 to 8 in halves; of an unfamiliarity from -1 to 2 in twentieths. The first and
# the last bin of each are open.
BINS = {SCORE: 34, UNFAMILIARITY: 62}
_SHARES = np.linspace(0.0, 1.0, 101)
Counts = Mapping[str, Sequence[int]]
_Floats = NDArray[np.float64]


def score_bin(score: float) -> int:
    """The bin of a calibrated score, 0 to 1."""
    if score <= 0.0 or score >= 1.0:
        return 0 if score <= 0.0 else BINS[SCORE] - 1
    return _bin(math.log(score / (1.0 - score)), -8.0, 0.5, BINS[SCORE])


def unfamiliarity_bin(distance: float) -> int:
    """The bin of the guard's largest distance, where 1 is its bound."""
    return _bin(distance, -1.0, 0.05, BINS[UNFAMILIARITY])


def _bin(value: float, low: float, width: float, bins: int) -> int:
    if math.isnan(value):
        return bins - 1
    return math.floor(min(max((value - low) / width + 1, 0), bins - 1))


def counted(measured: Iterable[tuple[float, float]]) -> dict[str, list[int]]:
    """The counts of both measures over images, each given as (score, unfamiliarity)."""
    counts = {measure: [0] * BINS[measure] for measure in MEASURES}
    for score, distance in measured:
        counts[SCORE][score_bin(score)] += 1
        counts[UNFAMILIARITY][unfamiliarity_bin(distance)] += 1
    return counts


@dataclass(frozen=True)
class Reference:
    """Counts by measure over good and over defective parts that the model was not fitted on."""

    good: Counts
    defect: Counts

    def as_card(self) -> Card:
        """Members of the artifact's card."""
        return {"good": dict(self.good), "defect": dict(self.defect)}


def read_reference(card: Card) -> Reference | None:
    """The reference in a card, or None where it has none that can be read."""
    held = card.get("reference")
    if not isinstance(held, Mapping):
        return None
    parts = [held.get(name) for name in ("good", "defect")]
    if not all(isinstance(part, Mapping) and _is_whole(part) for part in parts):
        return None
    good, defect = parts
    return Reference(good, defect) if sum(good[SCORE]) else None  # type: ignore[arg-type,index]


def _is_whole(part: Mapping[str, Any]) -> bool:
    return all(
        isinstance(part.get(measure), list)
        and len(part[measure]) == BINS[measure]
        and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**53 for n in part[measure])
        for measure in MEASURES
    )


@dataclass(frozen=True)
class Compared:
    """A window against the reference. Distances lie between 0 and 1; `limit` is that for either of them."""

    images: int
    distances: dict[str, float]
    limit: float
    defect_share: float  # of the mix that fits best

    @property
    def drifted(self) -> bool:
        """Whether a measure lies farther than chance explains."""
        return max(self.distances.values(), default=0.0) > self.limit


def compare(window: Counts, reference: Reference) -> Compared:
    """Compare the counts of a window, without images or without unfamiliarities too, with the reference."""
    images = sum(window[SCORE])
    measures = [measure for measure in MEASURES if sum(window[measure]) and sum(reference.good[measure])]
    if not measures:
        return Compared(images, {}, 1.0, 0.0)
    shares = _SHARES if all(sum(reference.defect[measure]) for measure in measures) else _SHARES[:1]
    distances = {measure: _distances(measure, window, reference, shares) for measure in measures}
    best = int(np.argmin(np.max(list(distances.values()), axis=0)))
    share = float(shares[best])
    limit = _limit(images, sum(reference.good[SCORE]), sum(reference.defect[SCORE]), share)
    return Compared(images, {measure: float(many[best]) for measure, many in distances.items()}, limit, share)


def _distances(measure: str, window: Counts, reference: Reference, shares: _Floats) -> _Floats:
    """The distance (S,) of the window from the mix with each of the shares (S,) of defects."""
    good, defect = _cumulated(reference.good[measure]), _cumulated(reference.defect[measure])
    mixes = (1.0 - shares)[:, None] * good + shares[:, None] * defect
    return np.asarray(np.abs(mixes - _cumulated(window[measure])).max(axis=1), np.float64)


def _cumulated(counts: Sequence[int]) -> _Floats:
    summed = np.cumsum(np.asarray(counts, np.float64))
    return np.asarray(summed / max(summed[-1], 1.0), np.float64)


def _limit(images: int, good: int, defect: int, share: float) -> float:
    """The bound of Massart on the distance of a sample, with the variance of the reference added to the window's, and
    half of the false alarms for each measure. Bins and the search for the best mix make the distance smaller only."""
    variance = 1.0 / images + (1.0 - share) ** 2 / good + (share**2 / defect if defect else 0.0)
    return max(LEAST_DISTANCE, math.sqrt(math.log(4.0 / FALSE_ALARMS) / 2.0 * variance))
