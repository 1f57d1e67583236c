"""EfficientNet-Lite0 without its classifier, as a network that serves: pooled features and one linear layer.

The weights come from ImageNet (training.teacher.weights); each batch norm is folded into its convolution. Images are
uint8 (N, H, W, C) as for the other networks of shared.vision.net.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# For each stage: kernel, stride of its first block, expansion, channels, blocks.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM, _TOP = 32, 1280
# Blocks whose output is pooled, and its channels: texture at 1/8 of the side, shapes at 1/16, things at 1/32.
_TAPS = {4: 40, 10: 112, 15: 320}
_POOLED_BY_MAXIMUM = (4, 10)
FEATURES = sum(_TAPS.values()) + _TOP + sum(_TAPS[tap] for tap in _POOLED_BY_MAXIMUM)
PLACE_DEPTH = sum(_TAPS.values())  # a place is described by all three, in the grid of the one in the middle
_WORST = 0.05  # of the places of an image decide


class _Conv(nn.Conv2d):
    """A convolution that pads as the weights were trained: an odd pixel goes to the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        before_after = []
        for length, kernel, stride in zip(
            reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride), strict=True
        ):
            missing = max((-(-int(length) // stride) - 1) * stride + kernel - int(length), 0)
            before_after += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, before_after) if any(before_after) else x)


class _Bottleneck(nn.Module):
    """Widen, look around in each channel alone, narrow; the input is added where it has the same shape."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.expand: nn.Module = _Conv(inside, wide, 1) if expansion > 1 else nn.Identity()
        self.expands = expansion > 1
        self.depthwise = _Conv(wide, wide, kernel, stride, groups=wide)
        self.project = _Conv(wide, outside, 1)
        self.adds = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand(x)) if self.expands else x
        y = F.relu6(self.depthwise(y))
        narrow: Tensor = self.project(y)
        return narrow + x if self.adds else narrow


class Lite0(nn.Module):
    """The maps of the tapped blocks and of the top layer, for images of 0 to 255 with three channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, _STEM, 3, 2)
        blocks: list[nn.Module] = []
        inside = _STEM
        for kernel, stride, expansion, outside, count in _STAGES:
            for place in range(count):
                blocks.append(_Bottleneck(inside, outside, kernel, stride if place == 0 else 1, expansion))
                inside = outside
        self.blocks = nn.ModuleList(blocks)
        self.top = _Conv(inside, _TOP, 1)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        maps = {}
        x = F.relu6(self.stem((x - 127) / 128))
        for place, block in enumerate(self.blocks):
            x = block(x)
            if place in _TAPS:
                maps[place] = x
        return maps | {len(self.blocks): F.relu6(self.top(x))}


def at_size(images: Tensor, height: int, width: int) -> Tensor:
    """float32 (N, 3, height, width), 0 to 255, of images uint8 or float (N, H, W, C)."""
    x = images.permute(0, 3, 1, 2).float()
    if tuple(x.shape[2:]) != (height, width):
        x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False)
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def worst_places(each: Tensor) -> Tensor:
    """The mean of the highest twentieth of each row; each (N, places)."""
    return each.topk(max(1, round(_WORST * int(each.shape[1]))), 1).values.mean(1)


def _places(maps: dict[int, Tensor]) -> Tensor:
    fine, middle, deep = (maps[tap] for tap in _TAPS)
    size = (int(middle.shape[2]), int(middle.shape[3]))
    deep = F.interpolate(deep, size, mode="bilinear", align_corners=False)
    return torch.cat([F.max_pool2d(fine, 2, 2, ceil_mode=True), middle, deep], 1)


class FeatureNet(nn.Module):
    """A linear layer over features that are pooled at several depths and at each of `sizes` (height, width).

    With `places` above 0 two further layers, with so many numbers in between, judge each place of the last size, and
    the worst places are added to the logit.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], places: int = 0) -> None:
        super().__init__()
        self.sizes, self.places = list(sizes), places
        self.trunk = Lite0()
        self.head = nn.Linear(FEATURES * len(self.sizes), 1)
        if places:
            self.look = nn.Conv2d(PLACE_DEPTH, places, 1)
            self.point = nn.Conv2d(places, 1, 1)

    def seen(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pooled features (N, FEATURES * sizes), and of the last size the features of each place (N, PLACE_DEPTH, h, w)
        and the top map (N, 1280, h', w')."""
        features, places, top = [], torch.empty(0), torch.empty(0)
        for height, width in self.sizes:
            maps = self.trunk(at_size(images, height, width))
            features += [seen.mean((2, 3)) for seen in maps.values()]
            features += [maps[tap].amax((2, 3)) for tap in _POOLED_BY_MAXIMUM]
            places = _places(maps)
            top = maps[max(maps)]
        return torch.cat(features, 1), places, top

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, places, top = self.seen(images)
        logit = self.head(features).squeeze(1)
        if self.places:
            logit = logit + worst_places(self.point(F.relu(self.look(places))).flatten(1))
        start = FEATURES * (len(self.sizes) - 1) + sum(_TAPS.values())
        weight = self.head.weight[0, start : start + _TOP]
        activation = (top * weight.view(1, -1, 1, 1)).sum(1)
        # The guard measures distances in `feature`: the deepest block says what is shown, in few numbers.
        deepest = features[:, start - _TAPS[15] : start]
        return logit.float(), deepest.float(), activation.float()
