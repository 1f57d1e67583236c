"""The decoded images, labels and groups of the training, validation or test part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """A decoded part of a split: images uint8 (N, H, W, C), labels (N,) 1 = defect, groups (N,).

    `masks` uint8 (N, H, W, 1), where the data has them: 255 on the flaw. `targets` float32 (N,): the chance of a
    defect that the network is to learn, where it is another than the label. `words` float32 (N,): the chance that a
    teacher gives, where there is one.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    masks: NDArray[np.uint8] | None = None
    targets: NDArray[np.float32] | None = None
    words: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)
