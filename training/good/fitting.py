"""Fit both networks of a set of good parts: a bank of its places, and a small network that learned drawn damage."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.json_text import Card
from shared.registry.artifact import Preprocessing
from shared.vision.net import Shape
from shared.vision.patches import PatchNet
from training.data.report import Report
from training.fit.part import Part
from training.fit.train import Fitted
from training.good.bank import PLACES, fit_bank
from training.good.drawn import fit_drawn, good_of
from training.good.weighed import shape_of, weighed
from training.network import Network
from training.options import Options
from training.progress import Say
from training.proof.good_point import FALSE_REJECTS, tail
from training.teacher.features import shrink_for, sizes_for, strong_preprocessing


@dataclass(frozen=True)
class Form:
    """Images are decoded as `spec` says; `small` is the form at 1/`shrink` of it, and `size` that of the features."""

    spec: Preprocessing
    small: Preprocessing
    shrink: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Good:
    net: nn.Module
    shape: Shape
    network: Network
    fitted: Fitted
    choice: Card


def form_of(small: Preprocessing) -> Form:
    """The forms of images for a small network that takes `small`."""
    spec = strong_preprocessing(small)
    return Form(spec, small, shrink_for(small), sizes_for(spec)[0])


def fit_good(
    train: Part,
    validation: Part,
    form: Form,
    looked: Report,
    options: Options,
    *,
    budget_s: float,
    say: Say,
) -> Good:
    """`train` holds good images alone; defects of `validation`, where it has some, weigh both networks."""
    started = time.process_time()
    say(f"a bank of {PLACES} places from {len(train)} good images, {form.size[1]} x {form.size[0]}")
    patches = fit_bank(train.images, form.size, seed=options.seed)
    set_scale(patches, validation.images[validation.labels == 0])
    own = good_of(train, form.shrink), good_of(validation, form.shrink)
    rest = budget_s - (time.process_time() - started)
    network, fitted = fit_drawn(*own, form.small, looked, options, budget_s=rest, say=say)
    spec = form.spec
    places = Shape("patches", spec.height, spec.width, spec.channels, sizes=(form.size,), places=PLACES)
    shape = shape_of(network.shape, places, form.shrink)
    net, choice = weighed(patches, fitted.net, shape, validation, seed=options.seed)
    weights = ", ".join(f"{name} {row['weight']:.2f}" for name, row in choice["candidates"].items())
    say(f"weights by {choice['told_by']}: {weights}")
    return Good(net, shape, network, fitted, choice)


def set_scale(net: PatchNet, good: NDArray[np.uint8]) -> None:
    """Bring both distances to one scale by good images (N, H, W, C) that the bank has not seen, and their sum to a
    logit: 0 where FALSE_REJECTS of them lie above."""
    both = distances_of(net, good)
    centre, spread = np.median(both, axis=0), np.maximum(both.std(0), 1e-3 * both.mean(0) + 1e-6)
    total = ((both - centre) / spread).sum(1)
    rows = [*zip(centre, spread, strict=True), (tail(total, FALSE_REJECTS), max(float(total.std()), 1e-3))]
    net.scales.copy_(torch.tensor(np.array(rows), dtype=torch.float32))


def distances_of(net: PatchNet, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Distances (N, 2) of the most unusual place and of the whole of each image (N, H, W, C)."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 16):
            nearest, unusual, _ = net.distances(torch.from_numpy(images[start : start + 16]))
            parts.append(torch.stack([nearest.amax((1, 2)), unusual], 1))
    return torch.cat(parts).double().numpy()
