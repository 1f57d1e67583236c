"""A network for sets of good parts only: how unusual an image is as a whole, and in its most unusual place.

Each place is described by pretrained features of two depths, as in PatchCore; `bank` holds a bounded number of places
of good images. The whole is described by the mean features of three depths, and its distance is Mahalanobis's.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.vision.lite0 import Lite0, at_size

FINE, COARSE, DEEP = 4, 10, 15  # the tapped blocks: 1/8, 1/16 and 1/32 of the side
DEPTH = 40 + 112
WHOLE = DEPTH + 320


class PatchNet(nn.Module):
    """Buffers are fitted by training.good. `scales` holds centre and spread of three distances: of the most unusual
    place, of the whole, and of the sum of both after these, which is the logit."""

    spread_of_place: Tensor
    bank: Tensor
    usual: Tensor
    whitening: Tensor
    scales: Tensor

    def __init__(self, size: tuple[int, int], places: int) -> None:
        super().__init__()
        self.size = size
        self.trunk = Lite0()
        self.register_buffer("spread_of_place", torch.ones(DEPTH))
        self.register_buffer("bank", torch.zeros(places, DEPTH))
        self.register_buffer("usual", torch.zeros(WHOLE))
        self.register_buffer("whitening", torch.eye(WHOLE))
        self.register_buffer("scales", torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]))

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, DEPTH, h, w) of each place of images uint8 (N, H, W, C), taken with its neighbours, and those
        of the whole (N, WHOLE)."""
        maps = self.trunk(at_size(images, *self.size))
        whole = torch.cat([maps[depth].mean((2, 3)) for depth in (FINE, COARSE, DEEP)], 1)
        fine = maps[FINE]
        coarse = F.interpolate(
            maps[COARSE], (int(fine.shape[2]), int(fine.shape[3])), mode="bilinear", align_corners=False
        )
        near = F.avg_pool2d(torch.cat([fine, coarse], 1), 3, 1, 1, count_include_pad=False)
        return near / self.spread_of_place.view(1, -1, 1, 1), whole

    def distances(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distance (N, h, w) of each place to the nearest one in the bank, that of the whole (N,), and the features of
        the whole (N, WHOLE)."""
        places, whole = self.features(images)
        rows = places.permute(0, 2, 3, 1)
        squares = rows.square().sum(3, keepdim=True) + self.bank.square().sum(1) - 2 * rows @ self.bank.T
        nearest = squares.amin(3).clamp(min=0).sqrt()
        unusual = ((whole - self.usual) @ self.whitening).square().sum(1).sqrt()
        return nearest, unusual, whole

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nearest, unusual, whole = self.distances(images)
        both = torch.stack([nearest.amax((1, 2)), unusual], 1)
        total = ((both - self.scales[:2, 0]) / self.scales[:2, 1]).sum(1)
        logit = (total - self.scales[2, 0]) / self.scales[2, 1]
        return logit.float(), whole.float(), nearest.float()
