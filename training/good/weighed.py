"""Join the patch network and the one that learned drawn damage: each weighs as much as it tells damage from good."""

from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.json_text import Card
from shared.vision.net import MeanNet, Shape
from shared.vision.patches import PatchNet
from training.fit.part import Part
from training.fit.train import predict
from training.good.drawn import good_of, shrunk, with_damage
from training.proof.good_point import FALSE_REJECTS, exceeded
from training.proof.metrics import auroc

_SUREST = 0.999  # more than this, so few validation images do not show
_LEAST_DEFECTS = 5  # parts
_REACH = 4.0  # logits from the middle of good images to the threshold, at most

Floats = NDArray[np.float64]


def weighed(
    patches: PatchNet, small: nn.Module, shape: Shape, validation: Part, *, seed: int
) -> tuple[MeanNet, Card]:
    """The network of `shape`, and the lines of its card. Its logit is 0 where FALSE_REJECTS of the images of new good
    parts lie above.

    Both outputs are brought to one scale on the good validation images. The weight of each is the distance between
    good and damaged images in that scale, as its AUROC tells it: for two that err independently no other weights do
    better. Defects tell it where the validation part shows enough defective parts, else damage that is drawn into
    its good images.
    """
    real = len(np.unique(validation.groups[validation.labels == 1])) >= _LEAST_DEFECTS
    judged = validation if real else with_damage(good_of(validation), 1, np.random.default_rng(seed + 1))
    both = _both(patches, small, judged, shape.shrink)
    good = judged.labels == 0
    own = both[good]
    centre, spread = np.median(own, axis=0), np.maximum(own.std(0), 1e-3)
    told = [auroc(column, judged.labels) for column in both.T]
    weight = np.array([NormalDist().inv_cdf(float(np.clip(each, 0.5, _SUREST))) for each in told])
    weight = weight if weight.any() else np.ones(2)
    total = ((own - centre) / spread) @ weight
    bound = exceeded(total, judged.groups[good], FALSE_REJECTS)
    # Few groups put the threshold far out, where the scores of all good images would be one and the same.
    unit = max(float(total.std()), bound / _REACH, 1e-3)
    factor = weight / spread / unit
    offset = -centre * factor - np.array([bound / unit, 0.0])
    net = MeanNet(shape).eval()
    net.small.load_state_dict(small.state_dict())
    net.features.load_state_dict(patches.state_dict())
    net.scales.copy_(torch.from_numpy(np.stack([factor, offset], 1)))
    names = ("small", "patches")
    return net, {
        "told_by": "defects" if real else "drawn damage",
        "served": "both",
        "candidates": {
            name: {"auroc": round(each, 4), "weight": round(float(part), 4)}
            for name, each, part in zip(names, told, weight / weight.sum(), strict=True)
        },
    }


def shape_of(small: Shape, patches: Shape, shrink: int) -> Shape:
    """The plan of both: images in the form of `patches`, and at 1/`shrink` of it for the small network."""
    return Shape(
        "patches",
        patches.height,
        patches.width,
        patches.channels,
        small.widths,
        small.blocks,
        small.stem_stride,
        small.mirrors,
        small.dropout,
        patches.sizes,
        shrink,
        patches.places,
    )


def _both(patches: PatchNet, small: nn.Module, part: Part, shrink: int) -> Floats:
    """Logits (N, 2) of the small network and of the patches."""
    columns = predict(small, shrunk(part.images, shrink)), predict(patches, part.images)
    return np.stack(columns, 1).astype(np.float64)
