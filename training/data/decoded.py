"""The records of a part of a split, decoded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.registry.artifact import Preprocessing
from training.data.pixels import decode_files, decode_masks
from training.data.records import Record
from training.fit.part import Part


def decoded(records: Sequence[Record], spec: Preprocessing, *, threads: int) -> Part:
    """Images, labels, groups and masks in the order of the records. Raises DataError for an unreadable image."""
    images = decode_files([record.path for record in records], spec, threads=threads)
    return Part(images, *labels_of(records), decode_masks(records, spec))


def labels_of(records: Sequence[Record]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels (N,) 1 = defect, and groups (N,) numbered from 0."""
    labels = np.array([record.label for record in records], np.int64)
    _, groups = np.unique([record.group for record in records], return_inverse=True)
    return labels, groups.astype(np.int64)
