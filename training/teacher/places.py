"""A head over places: it says of each place of an image whether it looks flawed, and the worst places count.

Features that are pooled over the whole image lose a flaw of few pixels among all that is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from shared.vision.lite0 import PLACE_DEPTH, worst_places

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

WIDTH = 32  # numbers of a place between its features and its verdict
EPOCHS, STEPS = 15, 150  # at least so many of both, where the time allows
_ENOUGH = 0.4  # of these are still worth a fit
MOST_BYTES = 1_500_000_000  # of the places of all images
_BATCH, _RATE, _DECAY, _DROPPED, _SMOOTHING = 32, 3e-3, 0.05, 0.2, 0.06
_FLAWED = 0.04  # share of a place's pixels that the mask names
_SECONDS = 5e-6  # for a place of an image and an epoch, on a slow core


@dataclass(frozen=True)
class Seen:
    """Pretrained features of images: `pooled` (N, F), and `places` float16 (N, C, h, w) where they are wanted."""

    pooled: Floats
    places: NDArray[np.float16] | None = None

    def __getitem__(self, chosen: Labels) -> "Seen":
        return Seen(self.pooled[chosen], None if self.places is None else self.places[chosen])


@dataclass(frozen=True)
class Head:
    """Two layers over the features of each place; `look` (C, WIDTH), `point` (WIDTH,)."""

    look: Floats
    look_offset: Floats
    point: Floats
    offset: float

    def logits(self, places: NDArray[np.float16]) -> Floats:
        """(N,) of places (N, C, h, w)."""
        found = []
        for start in range(0, len(places), _BATCH):
            rows = torch.from_numpy(places[start : start + _BATCH]).float().flatten(2).transpose(1, 2).numpy()
            each = np.maximum(rows @ self.look + self.look_offset, 0) @ self.point + self.offset
            found.append(worst_places(torch.from_numpy(each)).numpy())
        return np.concatenate(found).astype(np.float32) if found else np.zeros(0, np.float32)

    def halved(self) -> "Head":
        return Head(self.look, self.look_offset, self.point * np.float32(0.5), self.offset / 2)


def epochs_within(seconds: float, images: int, places: int, fits: int) -> int:
    """How many epochs `fits` fits on so many images take in so many CPU seconds; 0 where they are too few."""
    wanted = max(EPOCHS, -(-STEPS * _BATCH // max(1, images)))
    epochs = min(wanted, int(seconds / max(1, images * places * fits) / _SECONDS))
    return epochs if epochs >= _ENOUGH * wanted else 0


def fit_head(
    places: NDArray[np.float16],
    labels: Labels,
    weights: NDArray[np.float64],
    epochs: int,
    masks: NDArray[np.uint8] | None = None,
) -> Head:
    """Places (N, C, h, w), labels (N,) 1 = defect, weights (N,). `masks` (N, H, W, 1) also say which places are
    flawed."""
    chance = torch.random.get_rng_state()  # a training goes on with its own numbers
    torch.manual_seed(0)
    mean, spread = _scatter(places)
    look, point = nn.Conv2d(PLACE_DEPTH, WIDTH, 1), nn.Conv2d(WIDTH, 1, 1)
    net = nn.Sequential(nn.Dropout2d(_DROPPED), look, nn.ReLU(), nn.Dropout(_DROPPED), point)
    search = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=_DECAY)
    steps = epochs * -(-len(labels) // _BATCH)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(search, steps)
    target = torch.from_numpy(labels).float() * (1 - _SMOOTHING) + _SMOOTHING / 2
    share = torch.from_numpy((weights / weights.mean()).astype(np.float32))
    for _ in range(epochs):
        order = torch.randperm(len(labels)).numpy()
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            seen = torch.from_numpy(places[batch]).float()
            each = net((seen - mean.view(1, -1, 1, 1)) / spread.view(1, -1, 1, 1))
            loss = F.binary_cross_entropy_with_logits(
                worst_places(each.flatten(1)), target[batch], reduction="none"
            )
            total = (loss * share[batch]).mean()
            if masks is not None:
                total = total + _pointing(each, torch.from_numpy(masks[batch]))
            search.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            search.step()
            rate.step()
    torch.random.set_rng_state(chance)
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    first = state["1.weight"][:, :, 0, 0].T / spread.numpy()[:, None]
    offset = state["1.bias"] - mean.numpy() @ first
    return Head(first, offset, state["4.weight"][0, :, 0, 0], float(state["4.bias"][0]))


def _scatter(places: NDArray[np.float16]) -> tuple[Tensor, Tensor]:
    """Mean and spread of each feature (C,) over a sample of the images."""
    sample = torch.from_numpy(places[:: max(1, len(places) // 500)]).float()
    return sample.mean((0, 2, 3)), sample.std((0, 2, 3)) + 1e-3


def _pointing(each: Tensor, masks: Tensor) -> Tensor:
    """The loss of pointing at the flaw; each (N, 1, h, w)."""
    size = (int(each.shape[2]), int(each.shape[3]))
    flawed = F.adaptive_avg_pool2d(masks.permute(0, 3, 1, 2).float() / 255, size) > _FLAWED
    loss = F.binary_cross_entropy_with_logits(each, flawed.float(), reduction="none")
    return (loss * (1 + 4 * flawed)).mean()


def held_out_by_places(
    places: NDArray[np.float16],
    labels: Labels,
    weights: NDArray[np.float64],
    folds: Sequence[Labels],
    epochs: int,
    masks: NDArray[np.uint8] | None,
) -> Floats:
    """For each image the logit (N,) of a head that has not seen its fold."""
    held_out = np.zeros(len(labels), np.float32)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(labels)), fold)
        head = fit_head(
            places[rest], labels[rest], weights[rest], epochs, None if masks is None else masks[rest]
        )
        held_out[fold] = head.logits(places[fold])
    return held_out
