"""The networks. In `shared` only this module, lite0 and patches next to it import torch.

Each takes `images` uint8 (N, H, W, C), normalises inside, and returns three float32 tensors: `logit` (N,), positive
for a defect; `feature` (N, F), the last layer's input, longer with `trace`; `activation` (N, h, w), the logit's sources
by place. A cascade returns a fourth: `strong` (N,), 1 where the strong network judged and 0 where the fast one did.
"""

from dataclasses import asdict, dataclass, replace

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from shared.json_text import Card
from shared.vision.lite0 import FeatureNet
from shared.vision.patches import PatchNet

Outputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class Shape:
    """The plan of a network, kept in the card under `network` so that weights can be loaded again.

    Stage i has `widths[i]` channels and `blocks[i]` residual blocks. The first stage works at 1/`stem_stride` of
    the image's size, each later one at half the size of the stage before. The network scores `mirrors` (1, 2 or 4)
    mirrored copies of the image and averages them; with `unsure` above 0 it takes more than one copy only of images
    whose first logit lies nearer to 0 than that. With `trace` the feature goes on behind the last layer's input: with
    the mean and the maximum of each channel after each earlier block, and with 2 after the stem too, for the guard.
    `kind` "original" is the two-layer network, which takes its size from height and width alone. `kind` "features" is
    a linear layer over pretrained features at each of `sizes` (height, width), and "mean" averages it with a residual
    network for images of 1/`shrink` of the size; with `unsure` above 0 it is a cascade, which averages only where the
    residual network's log odds lie nearer to 0 than that, where training has put the boundary of the verdicts. In both,
    `places` above 0 adds a head over places with so many numbers in between. `kind` "patches" compares places with a
    bank of `places` from good images; with `widths` a residual network for images of 1/`shrink` of the size judges as
    well.
    """

    kind: str
    height: int
    width: int
    channels: int
    widths: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    stem_stride: int = 2
    mirrors: int = 1
    dropout: float = 0.0
    sizes: tuple[tuple[int, int], ...] = ()
    shrink: int = 1
    places: int = 0
    trace: int = 0
    unsure: float = 0.0

    @property
    def is_cascade(self) -> bool:
        return self.kind == "mean" and self.unsure > 0

    def as_card(self) -> Card:
        """JSON-ready form; `from_card` undoes it."""
        return asdict(self)

    @staticmethod
    def from_card(entry: Card) -> "Shape":
        """Raises TypeError or KeyError on an entry that `as_card` did not make."""
        sizes = tuple((int(height), int(width)) for height, width in entry.get("sizes", ()))
        return Shape(
            **{**entry, "widths": tuple(entry["widths"]), "blocks": tuple(entry["blocks"]), "sizes": sizes}
        )


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outside)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            # Averaging before the 1x1 keeps every pixel in the shortcut; a strided 1x1 drops three of four.
            shrink: nn.Module = nn.AvgPool2d(3, stride, 1) if stride > 1 else nn.Identity()
            self.around = nn.Sequential(
                shrink, nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside)
            )
        # The block starts as the shortcut alone, so that deep stacks train from the first step.
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.around(x))


class ResidualNet(nn.Module):
    """A small residual network over two views of the image: as stored, and freed of its mean and contrast.

    It pools by mean and by maximum: a large stain moves the mean, a hole of three pixels moves only the maximum.
    """

    shrink: Tensor
    guided: Tensor  # the map before the last stage in the latest training step

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.mirrors, self.trace, self.unsure = shape.mirrors, shape.trace, shape.unsure
        self.step = (
            1 if shape.height * shape.width <= 4096 else 2
        )  # a quarter of a large image is sample enough
        stages: list[nn.Module] = []
        inside = shape.widths[0]
        for stage, (width, blocks) in enumerate(zip(shape.widths, shape.blocks, strict=True)):
            for block in range(blocks):
                stages.append(_Block(inside, width, 2 if block == 0 and stage > 0 else 1))
                inside = width
        kernel = 5 if shape.stem_stride > 1 else 3
        self.stem = nn.Conv2d(
            2 * shape.channels, shape.widths[0], kernel, shape.stem_stride, kernel // 2, bias=False
        )
        self.stem_norm = nn.BatchNorm2d(shape.widths[0])
        # Pixels stay 0 to 255 and the first weights shrink instead, which saves a pass over the whole image.
        shrink = torch.cat([torch.full((shape.channels,), 1 / 64), torch.ones(shape.channels)])
        self.register_buffer("shrink", shrink.view(1, -1, 1, 1), persistent=False)
        self.stages = nn.Sequential(*stages)
        self.last_stage = len(stages) - shape.blocks[-1]
        self.dropout = nn.Dropout(shape.dropout)
        self.head = nn.Linear(2 * inside, 1)

    def forward(self, images: Tensor) -> Outputs:
        x = images.permute(0, 3, 1, 2).float()
        sample = x[:, :, :: self.step, :: self.step]
        mean = sample.mean((1, 2, 3), keepdim=True)
        gain = 1 / ((sample - mean).square().mean((1, 2, 3), keepdim=True).sqrt() + 3)
        x = torch.cat([x, x * gain - mean * gain], 1)
        if self.mirrors > 1 and self.unsure > 0 and not self.training:
            return self._again_where_unsure(x)
        if self.mirrors > 1 and not self.training:
            copies = [x, x.flip(3), x.flip(2), x.flip(2, 3)][: self.mirrors]
            logit, feature, activation = self._score(torch.cat(copies))
            turned = activation.reshape(self.mirrors, -1, *activation.shape[1:])
            back = [turned[0], turned[1].flip(2)]
            if self.mirrors == 4:
                back += [turned[2].flip(1), turned[3].flip(1, 2)]
            return (
                logit.reshape(self.mirrors, -1).mean(0),
                feature.reshape(self.mirrors, -1, feature.shape[1]).mean(0),
                torch.stack(back).mean(0),
            )
        return self._score(x)

    def _again_where_unsure(self, x: Tensor) -> Outputs:
        """Far from 0 the copies would not change the verdict, so only the unsure images are scored again, mirrored."""
        logit, feature, activation = self._score(x)
        places = (logit.abs() < self.unsure).nonzero().squeeze(1)
        again = x.index_select(0, places)
        copies = [again.flip(3), again.flip(2), again.flip(2, 3)][: self.mirrors - 1]
        more = self._score(torch.cat(copies))[0].view(self.mirrors - 1, -1).sum(0)
        mean = (logit.index_select(0, places) + more) / self.mirrors
        return logit.scatter(0, places, mean), feature, activation

    def _score(self, x: Tensor) -> Outputs:
        x = F.conv2d(x, self.stem.weight * self.shrink, None, self.stem.stride, self.stem.padding)
        x = F.relu(self.stem_norm(x))
        trace: list[Tensor] = []
        first = 2 - self.trace if self.trace and not self.training else len(self.stages)
        for place, block in enumerate(self.stages):
            if self.training and place == self.last_stage:
                self.guided = x
            if place >= first:
                # Pooled over the whole map by operators that ONNX Runtime computes in its own layout of channels.
                trace += [F.adaptive_avg_pool2d(x, 1).flatten(1), F.adaptive_max_pool2d(x, 1).flatten(1)]
            x = block(x)
        feature = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        logit = self.head(self.dropout(feature)).squeeze(1)
        weight = self.head.weight.view(2, -1).sum(0)
        activation = (x * weight.view(1, -1, 1, 1)).sum(1)
        feature = torch.cat([feature, *trace], 1)
        return logit.float(), feature.float(), activation.float()


class OriginalNet(nn.Module):
    """The first version's network: two convolutions, two linear layers, 25.7 million weights at 3x224x224."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.first = nn.Conv2d(shape.channels, 32, 3, padding=1)
        self.second = nn.Conv2d(32, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * (shape.height // 4) * (shape.width // 4), 128)
        self.head = nn.Linear(128, 1)

    def forward(self, images: Tensor) -> Outputs:
        x = images.permute(0, 3, 1, 2).float() * (1 / 255)
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        feature = F.relu(self.hidden(x.flatten(1)))
        # A dense layer has no weights by place, so the map shows where the convolutions answered.
        return self.head(feature).squeeze(1).float(), feature.float(), x.mean(1).float()


class MeanNet(nn.Module):
    """The sum of a small network's logit and of one from pretrained features, each brought to one scale first.

    As a cascade it asks the features only about images of which the small network is unsure.
    """

    scales: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shrink, self.unsure = shape.shrink, shape.unsure
        self.small = ResidualNet(small_of(shape))
        self.features: FeatureNet | PatchNet = FeatureNet(shape.sizes, shape.places)
        if shape.kind == "patches":
            self.features = PatchNet(shape.sizes[0], shape.places)
        # Rows: small network, features; columns: factor and offset of the logit.
        self.register_buffer("scales", torch.tensor([[0.5, 0.0], [0.5, 0.0]]))

    def forward(self, images: Tensor) -> Outputs:
        fewer = images
        if self.shrink > 1:
            fewer = F.avg_pool2d(images.permute(0, 3, 1, 2).float(), self.shrink).permute(0, 2, 3, 1)
        logit, feature, activation = self.small(fewer)
        if self.unsure > 0:
            logit, strong = self._again_where_unsure(images, logit)
            return logit, feature, activation, strong
        both = torch.stack([logit, self.features(images)[0]], 1)
        return (both * self.scales[:, 0] + self.scales[:, 1]).sum(1), feature, activation

    def _again_where_unsure(self, images: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
        """Log odds, and where the features were asked. The unsure images go through the features as one batch."""
        half = logit * self.scales[0, 0] + self.scales[0, 1]
        odds = 2 * half
        places = (odds.abs() < self.unsure).nonzero().squeeze(1)
        more = self.features(images.index_select(0, places))[0] * self.scales[1, 0] + self.scales[1, 1]
        mean = half.index_select(0, places) + more
        return odds.scatter(0, places, mean), torch.zeros_like(odds).scatter(0, places, torch.ones_like(mean))


def small_of(shape: Shape) -> Shape:
    """The residual network inside a mean."""
    return replace(
        shape,
        kind="residual",
        height=shape.height // shape.shrink,
        width=shape.width // shape.shrink,
        sizes=(),
        shrink=1,
        places=0,
        unsure=0.0,
    )


def build(shape: Shape) -> nn.Module:
    """A new network with random weights. Raises ValueError on an unknown kind."""
    if shape.kind == "residual":
        return ResidualNet(shape)
    if shape.kind == "original":
        return OriginalNet(shape)
    if shape.kind == "features":
        return FeatureNet(shape.sizes, shape.places)
    if shape.kind == "mean" or (shape.kind == "patches" and shape.widths):
        return MeanNet(shape)
    if shape.kind == "patches":
        return PatchNet(shape.sizes[0], shape.places)
    raise ValueError(f"unknown kind of network: {shape.kind!r}")


def multiplications(shape: Shape) -> int:
    """Multiply-adds for one image, which decide its time on a CPU.

    Counted as the operators run: hooks on modules would miss the stem, which calls `F.conv2d` itself. Where only unsure
    images are scored again, this is the number for such an image.
    """
    net = build(replace(shape, unsure=0.0)).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, shape.height, shape.width, shape.channels, dtype=torch.uint8))
    return int(counter.get_total_flops()) // 2


def weights_bytes(net: nn.Module) -> bytes:
    """The weights as safetensors, which `load` reads back."""
    return safetensors.torch.save({name: value.contiguous() for name, value in net.state_dict().items()})


def load(weights: bytes, card: Card) -> nn.Module:
    """The network that an artifact's card describes, with its weights, on the CPU, ready to score.

    Raises KeyError, TypeError, ValueError or RuntimeError if card and weights do not fit each other.
    """
    net = build(Shape.from_card(card["network"]))
    try:
        state = safetensors.torch.load(weights)
    except safetensors.SafetensorError as error:
        raise ValueError(f"not safetensors: {error}") from error
    net.load_state_dict(state)
    return net.eval()
