"""A training that has ended, and everything that led to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.json_text import Card
from shared.registry.artifact import Preprocessing
from shared.vision.net import Shape
from training.data.records import Record
from training.data.report import Report
from training.data.splits import Split
from training.fit.augment import Liberties
from training.fit.part import Part
from training.fit.start import Start
from training.fit.train import Fitted
from training.options import Options


@dataclass(frozen=True)
class Trained:
    looked: Report
    split: Split
    how: str
    options: Options
    spec: Preprocessing
    shape: Shape
    freedom: Liberties
    start: Start | None
    fitted: Fitted
    cpu_seconds: float
    train: Part
    validation: Part
    test: Part
    choice: Card | None = None
    unlabelled: int = 0
    # A cross-fitted training judges each image by the model of its fold; the training and the validation part are the
    # whole set then, and so is the test part where none is given.
    held_out: NDArray[np.float32] | None = None
    fold_of: NDArray[np.int64] | None = None
    sampled: Sequence[Record] | None = (
        None  # of the training part, where `train` holds the images of these alone
    )
    proof: Part | None = None  # the defective images that only the bound of a promise sees

    @property
    def tests_itself(self) -> bool:
        """Whether the figures of the test part are those of the folds, since no test part is given."""
        return self.fold_of is not None and self.split.test is self.split.validation
