"""A network for sets of good parts only: how far the most unusual place of an image lies from all places of good ones.

Each place is described by pretrained features of two depths, as in PatchCore; `bank` holds a bounded number of places
of good images.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.vision.lite0 import Lite0, at_size

FINE, COARSE = 4, 10  # the tapped blocks: 1/8 and 1/16 of the side
DEPTH = 40 + 112


class PatchNet(nn.Module):
    """`bank` (places, DEPTH) is fitted by training.good.fit; `centre` and `spread` bring the distance to a logit."""

    spread_of_place: Tensor
    bank: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, size: tuple[int, int], places: int) -> None:
        super().__init__()
        self.size = size
        self.trunk = Lite0()
        self.register_buffer("spread_of_place", torch.ones(DEPTH))
        self.register_buffer("bank", torch.zeros(places, DEPTH))
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def places(self, images: Tensor) -> Tensor:
        """Features (N, DEPTH, h, w) of each place of images uint8 (N, H, W, C), each taken with its neighbours."""
        maps = self.trunk(at_size(images, *self.size))
        fine = maps[FINE]
        coarse = F.interpolate(
            maps[COARSE], (int(fine.shape[2]), int(fine.shape[3])), mode="bilinear", align_corners=False
        )
        near = F.avg_pool2d(torch.cat([fine, coarse], 1), 3, 1, 1, count_include_pad=False)
        return near / self.spread_of_place.view(1, -1, 1, 1)

    def distances(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Distance (N, h, w) of each place to the nearest one in the bank, and the mean features (N, DEPTH)."""
        places = self.places(images)
        rows = places.permute(0, 2, 3, 1)
        squares = rows.square().sum(3, keepdim=True) + self.bank.square().sum(1) - 2 * rows @ self.bank.T
        nearest = squares.amin(3).clamp(min=0).sqrt()
        return nearest, places.mean((2, 3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nearest, feature = self.distances(images)
        logit = (nearest.amax((1, 2)) - self.centre) / self.spread
        return logit.float(), feature.float(), nearest.float()
