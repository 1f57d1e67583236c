"""The records of a part of a split, decoded."""

from collections.abc import Sequence

import numpy as np

from shared.registry.artifact import Preprocessing
from training.data.pixels import decode_files, decode_masks
from training.data.records import Record
from training.fit.part import Part


def decoded(records: Sequence[Record], spec: Preprocessing, *, threads: int) -> Part:
    """Images, labels, groups and masks in the order of the records. Raises DataError for an unreadable image."""
    images = decode_files([record.path for record in records], spec, threads=threads)
    labels = np.array([record.label for record in records], np.int64)
    _, groups = np.unique([record.group for record in records], return_inverse=True)
    return Part(images, labels, groups.astype(np.int64), decode_masks(records, spec))
