"""Escapes of each kind of defect that the data names."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from training.data.records import Record


def by_kind(
    records: Sequence[Record], p: NDArray[np.float64], point: OperatingPoint
) -> dict[str, dict[str, int]]:
    """Images, escapes at the threshold and escapes left after review for each kind, the most frequent first.

    Scores p (N,) in the order of the records. Empty where the data names no kinds.
    """
    found: dict[str, dict[str, int]] = {}
    for record, score in zip(records, p, strict=True):
        if not record.label or not record.kind:
            continue
        row = found.setdefault(record.kind, {"images": 0, "escapes": 0, "escapes_after_review": 0})
        escaped = bool(score < point.threshold)
        reviewed = point.review_low < point.review_high and point.review_low <= score <= point.review_high
        row["images"] += 1
        row["escapes"] += escaped
        row["escapes_after_review"] += escaped and not reviewed
    return dict(sorted(found.items(), key=lambda entry: -entry[1]["images"]))
