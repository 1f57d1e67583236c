"""Fit a patch network on good images: a bounded bank of places that covers them, and how their whole scatters."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.vision.patches import DEPTH, PatchNet
from training.teacher.weights import pretrained

PLACES = 1024
_CANDIDATES = 20_000  # places that the bank is chosen from, whatever the number of images
_CHUNK = 16
_ROUND = 0.1


def fit_bank(images: NDArray[np.uint8], size: tuple[int, int], *, seed: int = 0) -> PatchNet:
    """Good images (N, H, W, C). Places are chosen one by one, each the farthest from those before it."""
    generator = torch.Generator().manual_seed(seed)
    net = PatchNet(size, PLACES).eval()
    net.trunk = pretrained()
    candidates, wholes = _described(net, images, generator)
    net.usual.copy_(wholes.mean(0))
    net.whitening.copy_(_whitening(wholes))
    net.spread_of_place.copy_(candidates.std(0).clamp(min=1e-3) * DEPTH**0.5)
    candidates = candidates / net.spread_of_place
    net.bank.copy_(candidates[_cover(candidates, PLACES)])
    return net


def _whitening(wholes: Tensor) -> Tensor:
    """The map after which good images scatter alike in every direction; a tenth of the mean variance is taken as
    round, so that directions in which few images hardly vary do not weigh without bound."""
    spread = wholes.std(0) + 1e-3
    sizes, axes = torch.linalg.eigh(torch.cov((wholes / spread).T))
    whitening: Tensor = axes / (sizes.clamp(min=0) + _ROUND * sizes.mean()).sqrt() / spread[:, None]
    return whitening


def _described(net: PatchNet, images: NDArray[np.uint8], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places to choose the bank from, and the features of each whole image."""
    each = max(1, _CANDIDATES // len(images))
    found, wholes = [], []
    with torch.inference_mode():
        for start in range(0, len(images), _CHUNK):
            places, whole = net.features(torch.from_numpy(images[start : start + _CHUNK]))
            wholes.append(whole.clone())
            for image in places.flatten(2):
                chosen = torch.randperm(image.shape[1], generator=generator)[:each]
                found.append(image[:, chosen].T.clone())
    return torch.cat(found)[: 2 * _CANDIDATES], torch.cat(wholes)


def _cover(candidates: Tensor, count: int) -> list[int]:
    """Farthest-first choice; where there are fewer candidates than places, some are chosen again."""
    # A random projection keeps distances well enough, and each step costs a fifth.
    generator = torch.Generator().manual_seed(0)
    short = candidates @ torch.randn(candidates.shape[1], 32, generator=generator)
    chosen = [0]
    nearest = (short - short[0]).square().sum(1)
    while len(chosen) < count:
        farthest = int(nearest.argmax())
        chosen.append(farthest)
        nearest = torch.minimum(nearest, (short - short[farthest]).square().sum(1))
    return chosen
