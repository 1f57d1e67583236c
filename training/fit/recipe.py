"""Choose a network, a size and a plan from the data and the time at hand. All sets share this recipe.

Nothing here knows a set by name: sizes, colours, counts and symmetries are read from the training part.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from shared.json_text import Card
from shared.registry.artifact import NEWEST_PREPROCESSING, Preprocessing
from shared.vision.formats.jpeg import FAST, scaled
from shared.vision.net import Shape, multiplications

# Multiply-adds an image, the first convolution included, which is a larger part of them in large images.
MAX_MULTIPLICATIONS_SMALL = 67_000_000
MAX_MULTIPLICATIONS = 86_000_000
NEAR = 0.8, 1.1  # of LARGEST_SIDE
LARGEST_SIDE = 160  # a hole of 3 pixels in 300 is still seen; more pixels cost epochs that bring more
SMALL_SIDE = 64  # up to here the first stage works at full size
MAX_EPOCHS = 400
MAX_STEPS = 40_000
SMALL_SET = 3000
MIN_EPOCHS = 8
FEW_PARTS = 100  # of the rarer label: under it, what the light says of a part is chance
ORIGINAL_SIDE = 224

# From slim to rich; the richest that fits the limit is taken.
_SMALL_FAMILY = [
    ((16, 32, 64), (1, 1, 1)),
    ((32, 64), (1, 1)),
    ((32, 64, 128), (1, 1, 1)),
    ((32, 64, 128), (1, 2, 1)),
    ((48, 96, 192), (1, 1, 1)),
]
_LARGE_FAMILY = [
    ((16, 16, 32, 64), (0, 1, 1, 1)),
    ((16, 16, 32, 64, 128), (0, 1, 1, 1, 1)),
]


@dataclass(frozen=True)
class Plan:
    """How one training runs. `patience` counts epochs without a better validation loss."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    patience: int
    label_smoothing: float = 0.0
    warm_up: float = 0.15
    average_weights: bool = True
    augment: bool = True
    balance: bool = True
    one_cycle: bool = True
    optimizer: str = "adamw"  # or muon, or adam
    calibrated_loss: bool = True

    def as_card(self) -> Card:
        """JSON-ready form."""
        return asdict(self)


def preprocessing_for(
    sizes: Sequence[tuple[int, int]], colour: bool, *, side: int | None = None, full_scale: int | None = None
) -> Preprocessing:
    """The size that all images are brought to; sizes are (width, height) of the upright images.

    The size is the one at which a JPEG decoder gives most of the images without resizing, if one lies near
    LARGEST_SIDE. Else small images keep their median size, and larger ones are brought to at most `side` (geometric
    mean of both sides), in multiples of 8 from 64 pixels on.
    """
    channels = 3 if colour else 1
    if side is None and (exact := _exact_size(sizes)) is not None:
        return Preprocessing(*exact, channels, full_scale, NEWEST_PREPROCESSING)
    width, height = (float(np.median(values)) for values in zip(*sizes, strict=True))
    limit = side or LARGEST_SIDE
    shrink = min(1.0, limit / math.sqrt(width * height))
    if 0.9 < width / height < 1.1:
        width = height = math.sqrt(width * height)

    def rounded(length: float) -> int:
        wanted = length * shrink
        return max(8, round(wanted / 8) * 8) if wanted > SMALL_SIDE else max(8, round(wanted))

    return Preprocessing(rounded(width), rounded(height), channels, full_scale, NEWEST_PREPROCESSING)


def _exact_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The size of most images, scaled as a JPEG decoder scales, if that is near LARGEST_SIDE.

    Nearly square images are left to the rule that makes them square, because squares may be turned in training.
    """
    (size, count), *_ = Counter(sizes).most_common(1)
    if 2 * count < len(sizes) or (size[0] != size[1] and 0.9 < size[0] / size[1] < 1.1):
        return None
    for eighths in FAST:
        width, height = scaled(size, eighths)
        if NEAR[0] * LARGEST_SIDE <= math.sqrt(width * height) <= NEAR[1] * LARGEST_SIDE:
            return width, height
    return None


def mirrors_for(spec: Preprocessing, sideways: bool, upright: bool, few_parts: bool = False) -> int:
    """How many mirrored copies to average at serving.

    A slim network over four copies serves as fast as a rich one over a single copy and trains several times
    faster. On small images, where the budget limits the epochs, the slim one ends ahead. On large images of few
    parts two copies are averaged, because their chance errors differ.
    """
    if not sideways:
        return 1
    if max(spec.width, spec.height) > SMALL_SIDE:
        return 2 if few_parts else 1
    return 4 if upright else 2


def limit_for(spec: Preprocessing) -> int:
    """The most multiply-adds that a network for images of this size may take."""
    return MAX_MULTIPLICATIONS_SMALL if max(spec.width, spec.height) <= SMALL_SIDE else MAX_MULTIPLICATIONS


def trace_for(spec: Preprocessing) -> int:
    """How much the graph tells the guard, which then looks at fewer pixels.

    For large images the graph tells nothing: a guard that looked at the trace and few pixels let half empty and
    blurred frames pass.
    """
    return 2 if max(spec.width, spec.height) <= SMALL_SIDE else 0


def shape_for(spec: Preprocessing, *, mirrors: int = 1, limit: int | None = None) -> Shape:
    """The richest network of the family that stays within `limit` multiply-adds an image."""
    limit = limit_for(spec) if limit is None else limit
    small = max(spec.width, spec.height) <= SMALL_SIDE
    family = _SMALL_FAMILY if small else _LARGE_FAMILY
    candidates = [
        Shape(
            kind="residual",
            height=spec.height,
            width=spec.width,
            channels=spec.channels,
            widths=widths,
            blocks=blocks,
            stem_stride=1 if small else 2,
            mirrors=mirrors,
            dropout=0.1,
            trace=trace_for(spec),
        )
        for widths, blocks in family
    ]
    costs = [multiplications(shape) for shape in candidates]
    fitting = [(cost, i) for i, cost in enumerate(costs) if cost <= limit]
    chosen = max(fitting)[1] if fitting else costs.index(min(costs))
    return candidates[chosen]


def batch_for(pictures: int) -> int:
    """Small sets get small batches: it is steps that a network learns by."""
    return 32 if pictures < SMALL_SET else 64


def plan_for(pictures: int, seconds_an_epoch: float, budget_s: float, *, optimizer: str = "adamw") -> Plan:
    """As many epochs as the budget holds, within reason; `images` are those of the train part."""
    batch = batch_for(pictures)
    enough = min(MAX_EPOCHS, MAX_STEPS // math.ceil(pictures / batch))
    epochs = max(MIN_EPOCHS, min(enough, int(0.92 * budget_s / seconds_an_epoch)))
    return Plan(
        epochs=epochs,
        batch=batch,
        learning_rate=4e-3,
        weight_decay=0.03,
        patience=max(8, epochs // 3),
        label_smoothing=0.03,
        optimizer=optimizer,
    )


ORIGINAL_PLAN = Plan(
    epochs=20,
    batch=128,
    learning_rate=1e-4,
    weight_decay=1e-4,
    patience=2,
    average_weights=False,
    augment=False,
    balance=False,
    one_cycle=False,
    optimizer="adam",
    calibrated_loss=False,
)


def original_shape() -> Shape:
    """The first version's network at 3 x 224 x 224."""
    return Shape(kind="original", height=ORIGINAL_SIDE, width=ORIGINAL_SIDE, channels=3)


def has_colour(files: Sequence[Path]) -> bool:
    """Whether a sample of the images shows colour; grey stored as RGB is grey."""
    step = max(1, len(files) // 100)
    coloured = 0
    chosen = files[::step]
    for file in chosen:
        with Image.open(file) as picture:
            if picture.mode in ("L", "1", "LA", "I", "F") or picture.mode.startswith("I;"):
                continue
            channels = np.asarray(picture.convert("RGB").resize((32, 32)), np.int16)
        coloured += int(np.ptp(channels, axis=2).mean() > 4)
    return coloured > len(chosen) / 10
