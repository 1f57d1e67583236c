"""Change an image as its part may look on another day: `torchvision.transforms.v2` over whole batches.

Every transform draws its numbers for each image of the batch and then works on all of them at once, which
on a CPU is several times faster than image by image, except for mirrors. Batches are (N, C, H, W), 0 black
to 255 white: uint8 until `Moves` blends pixels, a quarter of the memory to go through, and float32 from there.
"""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from shared.json_text import Card
from training.fit.recipe import SMALL_SIDE

_GRAIN_STEPS = 100_003  # places where a batch may lie on the field of noise


@dataclass(frozen=True)
class Liberties:
    """Changes that leave the label as it is, as far as the images themselves tell."""

    mirror_sideways: bool
    mirror_upright: bool
    quarter_turns: bool
    any_turn: bool
    shift: float = 0.06  # of the side
    zoom: float = 0.1
    light: float = 0.15  # of contrast, and of half the range in brightness
    shade: float = 0.0  # deviation of the logarithm of a light that differs from place to place

    def as_card(self) -> Card:
        """JSON-ready form."""
        return asdict(self)


def liberties(images: NDArray[np.uint8], *, few_parts: bool = False) -> Liberties:
    """Judge by the mean image: a set whose mean stays itself under a move shows its parts in any such
    position.

    images (N, H, W, C). A mean without structure (texture, loose parts) allows everything. The light and
    the distance of a few parts are chance, and a network would learn to recognise these parts by them: `few_parts`
    disturbs both more strongly.
    """
    freedom = _moves_of(images)
    if few_parts and max(images.shape[1:3]) > SMALL_SIDE:
        freedom = replace(freedom, shift=0.1, zoom=0.2, light=0.3, shade=0.3)
    return freedom


def _moves_of(images: NDArray[np.uint8]) -> Liberties:
    mean = torch.from_numpy(images[:2000].mean((0, 3), dtype=np.float32))[None, None]
    height, width = mean.shape[2:]
    square = height == width
    if float(mean.std()) < 4:
        return Liberties(True, True, square, square and width >= 64)

    def stays(moved: Tensor, allowed: float) -> bool:
        a, b = mean.flatten(), moved.flatten()
        return float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > allowed

    turn = square and stays(mean.rot90(1, (2, 3)), 0.8)
    eighth = _warp(mean, torch.tensor([math.pi / 4]), torch.ones(1), torch.zeros(1, 2)) if square else mean
    return Liberties(
        mirror_sideways=stays(mean.flip(3), 0.3),
        mirror_upright=stays(mean.flip(2), 0.3),
        quarter_turns=turn,
        any_turn=turn and width >= 64 and stays(eighth, 0.8),
    )


class Augmentation:
    """Moves first, then light and grain; a mask, where there is one, moves with its image."""

    def __init__(self, freedom: Liberties) -> None:
        self.moves = v2.Compose(
            [
                Mirrors(freedom.mirror_sideways, freedom.mirror_upright, freedom.quarter_turns),
                Moves(math.pi if freedom.any_turn else math.radians(6), freedom.zoom, freedom.shift),
            ]
        )
        lamps = [Light(freedom.light), v2.RandomApply([Grain(4.0)], p=0.3)]
        self.light = v2.Compose([Shade(freedom.shade), *lamps] if freedom.shade else lamps)

    def __call__(self, images: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """float32 of images (N, C, H, W) and, where known, masks (N, 1, H, W), both uint8 or float32 of 0 to 255."""
        if masks is None:
            return self.light(self.moves(images)), None
        moved = self.moves(torch.cat([images, masks], 1))
        return self.light(moved[:, :-1]), moved[:, -1:]


class _BatchTransform(v2.Transform):  # type: ignore[misc]
    """A v2 transform whose `changed` gets the whole batch."""

    def transform(self, inpt: Tensor, params: Card) -> Tensor:
        return self.changed(inpt)

    def changed(self, batch: Tensor) -> Tensor:
        raise NotImplementedError


class Mirrors(_BatchTransform):
    """Mirrors and quarter turns, each for half of the images: exact, no pixel is blended."""

    def __init__(self, sideways: bool, upright: bool, quarter: bool) -> None:
        super().__init__()
        self.sideways, self.upright, self.quarter = sideways, upright, quarter

    def changed(self, batch: Tensor) -> Tensor:
        pictures = batch.numpy()
        moved = np.empty_like(pictures)
        draws = torch.rand(len(batch), 3) < 0.5
        allowed = torch.tensor([self.sideways, self.upright, self.quarter])
        # Each image is copied once, through a mirrored view of it: a sixth of what whole batches cost.
        for place, (sideways, upright, quarter) in enumerate((draws & allowed).tolist()):
            seen = pictures[place]
            if sideways:
                seen = seen[:, :, ::-1]
            if upright:
                seen = seen[:, ::-1]
            moved[place] = seen.swapaxes(1, 2) if quarter else seen
        return torch.from_numpy(moved)


class Moves(_BatchTransform):
    """Turn, zoom and shift two thirds of the images; what comes in at the border is the image
    mirrored."""

    def __init__(self, turn: float, zoom: float, shift: float) -> None:
        super().__init__()
        self.turn, self.zoom, self.shift = turn, zoom, shift

    def changed(self, batch: Tensor) -> Tensor:
        count = len(batch)
        moved = batch.to(torch.float32, copy=True)
        chosen = torch.rand(count) < 0.67
        if not chosen.any():
            return moved
        turn = (torch.rand(count) * 2 - 1) * self.turn
        zoom = 1 + (torch.rand(count) * 2 - 1) * self.zoom
        shift = (torch.rand(count, 2) * 2 - 1) * 2 * self.shift
        moved[chosen] = _warp(moved[chosen], turn[chosen], zoom[chosen], shift[chosen])
        return moved


class Light(_BatchTransform):
    """Another lamp: contrast about the middle grey and brightness, for each image."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def changed(self, batch: Tensor) -> Tensor:
        contrast = 1 + (torch.rand(len(batch), 1, 1, 1) * 2 - 1) * self.strength
        brightness = (torch.rand(len(batch), 1, 1, 1) * 2 - 1) * self.strength * 128
        return (batch * contrast + (128 * (1 - contrast) + brightness)).clamp_(0, 255)


class Shade(_BatchTransform):
    """Lamps that stand elsewhere: brightness in broad hills over the image, and another tone curve."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def changed(self, batch: Tensor) -> Tensor:
        count, cells = len(batch), int(torch.randint(2, 6, ()))
        height, width = batch.shape[2:]
        # Bicubic on a coarse grid, then linear: as smooth to the eye, and much cheaper.
        hills = F.interpolate(
            torch.randn(count, 1, cells, cells),
            (height // 8 + 2, width // 8 + 2),
            mode="bicubic",
            align_corners=True,
        )
        light = F.interpolate(
            torch.exp(hills * self.strength), (height, width), mode="bilinear", align_corners=True
        )
        bend = (torch.rand(count, 1, 1, 1) * 2 - 1) * self.strength * 2 / 255
        return (batch * (1 + bend * (255 - batch)) * light).clamp_(0, 255)


class Grain(_BatchTransform):
    """A noisier camera. Each batch lies elsewhere on one field of noise: to draw a new one costs six times as much."""

    def __init__(self, levels: float) -> None:
        super().__init__()
        self.levels = levels
        self._field = torch.empty(0)

    def changed(self, batch: Tensor) -> Tensor:
        if len(self._field) < batch.numel() + _GRAIN_STEPS:
            self._field = torch.randn(batch.numel() + _GRAIN_STEPS)
        first = int(torch.randint(_GRAIN_STEPS, ()))
        grain = self._field[first : first + batch.numel()].view(batch.shape)
        return batch.add(grain, alpha=float(torch.rand(())) * self.levels).clamp_(0, 255)


def _warp(batch: Tensor, turn: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
    """Turn (N,) in radians, zoom (N,), shift (N, 2) in half sides, each about the centre."""
    height, width = batch.shape[2:]
    cos, sin = torch.cos(turn) / zoom, torch.sin(turn) / zoom
    aspect = width / height
    # Compute affine_grid as sums of a row and a column: a warp of 160 x 160 pixels takes 0.38 ms and not 0.55 ms.
    across = ((2 * torch.arange(width) + 1) / width - 1).view(1, 1, -1)
    down = ((2 * torch.arange(height) + 1) / height - 1).view(1, -1, 1)

    def each(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1)

    grid = torch.stack(
        [
            each(cos) * across - each(sin / aspect) * down + each(shift[:, 0]),
            each(sin * aspect) * across + each(cos) * down + each(shift[:, 1]),
        ],
        3,
    )
    return F.grid_sample(batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
