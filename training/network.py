"""The small network that a training begins with: form of the images, allowed changes, shape and first weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.registry.artifact import Preprocessing
from shared.vision.net import Shape, multiplications
from training.data.records import DataError
from training.data.report import Report
from training.fit import recipe
from training.fit.augment import Liberties, liberties
from training.fit.part import Part
from training.fit.start import Start, going_on, starting_weights
from training.options import Options
from training.progress import Say

LEAST_SIDE = 16


@dataclass(frozen=True)
class Network:
    """The choices that the recipe made before the first step."""

    spec: Preprocessing
    freedom: Liberties
    shape: Shape
    start: Start | None


def preprocessing_of(looked: Report, options: Options) -> Preprocessing:
    """The form of the images, from their sizes and colours."""
    if options.preset == "original":
        shape = recipe.original_shape()
        return Preprocessing(shape.width, shape.height, shape.channels, options.full_scale)
    sizes = looked.pixel_sizes()
    if options.side is not None:
        _check_side(options.side, sizes)
    colour = recipe.has_colour([record.path for record in looked.records])
    return recipe.preprocessing_for(sizes, colour, side=options.side, full_scale=options.full_scale)


def _check_side(side: int, sizes: Sequence[tuple[int, int]]) -> None:
    """Raise DataError for a side that no network works with, or that the images do not have."""
    width, height = (float(np.median(values)) for values in zip(*sizes, strict=True))
    own = math.sqrt(width * height)
    if side < LEAST_SIDE:
        raise DataError(f"--side {side}: a network needs {LEAST_SIDE} pixels or more")
    if side > math.ceil(own):
        raise DataError(
            f"--side {side}: the images have {width:.0f} x {height:.0f} pixels, a side of {own:.0f} if they were "
            "square, and are never enlarged"
        )


def network_for(spec: Preprocessing, train: Part, looked: Report, options: Options, say: Say) -> Network:
    """The network for images of this form; `train` tells what may be changed in them."""
    original = options.preset == "original"
    few_parts = looked.has_groups and _parts(train) < recipe.FEW_PARTS
    freedom = Liberties(False, False, False, False)
    if not original:
        freedom = liberties(train.images, few_parts=few_parts)
    shape = recipe.original_shape() if original else _shape(spec, freedom, few_parts, options)
    start = going_on(options.go_on, shape) if options.go_on else starting_weights(options.start, shape)
    say(
        f"{spec.width} x {spec.height} x {spec.channels}, {multiplications(shape) / 1e6:.1f} M multiply-adds an image"
    )
    if start is not None:
        say(f"starts from the weights of {start.name}")
    return Network(spec, freedom, shape, start)


def _shape(spec: Preprocessing, freedom: Liberties, few_parts: bool, options: Options) -> Shape:
    limit = int(options.speed * 1e6) if options.speed else None
    mirrors = options.mirrors or recipe.mirrors_for(
        spec, freedom.mirror_sideways, freedom.mirror_upright, few_parts
    )
    return recipe.shape_for(spec, mirrors=mirrors, limit=limit)


def _parts(part: Part) -> int:
    """How many different parts the rarer label shows."""
    return min(len(np.unique(part.groups[part.labels == label])) for label in (0, 1))
