"""Images for the guard's tables: made-up frames that no product shows, and own images changed step by step."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

SIDE = 300  # pixels of a frame; radii of blur are given for an image of this width

Frames = Callable[[np.random.Generator, int], Iterator[Image.Image]]
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _grey(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _blank(rng: np.random.Generator, count: int) -> Iterator[Image.Image]:
    for level in np.linspace(0, 255, count):
        yield Image.new("L", (SIDE, SIDE), round(level))


def _lens_cap(rng: np.random.Generator, count: int) -> Iterator[Image.Image]:
    for _ in range(count):
        yield _grey(rng.uniform(0, 20) + rng.normal(0, rng.uniform(0.5, 8), (SIDE, SIDE)))


def _noise(rng: np.random.Generator, count: int) -> Iterator[Image.Image]:
    for place in range(count):
        side = SIDE if place % 2 else int(rng.integers(8, 100))
        noise = rng.uniform(60, 190) + rng.normal(0, rng.uniform(10, 80), (side, side))
        yield _grey(noise).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def _gradients(rng: np.random.Generator, count: int) -> Iterator[Image.Image]:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    for place in range(count):
        turn, (low, high) = rng.uniform(0, 2 * np.pi), np.sort(rng.uniform(0, 255, 2))
        slope = x * np.cos(turn) + y * np.sin(turn)
        if place % 3 == 0:  # round, about a point of the frame
            slope = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 1))
        slope = (slope - slope.min()) / np.ptp(slope)
        yield _grey(low + (high - low) * slope + rng.normal(0, (place % 2) * 3, slope.shape))


def _stripes(rng: np.random.Generator, count: int) -> Iterator[Image.Image]:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    for place in range(count):
        turn, period = rng.uniform(0, np.pi), rng.uniform(3, 80)
        wave = np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / period)
        yield _grey(rng.uniform(60, 190) + rng.uniform(10, 120) * (np.sign(wave) if place % 2 else wave))


def _blur(radius: float) -> Change:
    return lambda image, rng: image.filter(ImageFilter.GaussianBlur(radius * image.width / SIDE))


def _light(factor: float) -> Change:
    return lambda image, rng: image.point([min(255, round(level * factor)) for level in range(256)])


def _shifted(share: float) -> Change:
    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        moved = Image.new("L", image.size, _border(image))
        moved.paste(image, (round(share * image.width), 0))
        return moved

    return change


def _turned(degrees: float) -> Change:
    return lambda image, rng: image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=_border(image))


def _half(level: int) -> Change:
    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        cut = image.copy()
        cut.paste(level, (0, image.height // 2, image.width, image.height))
        return cut

    return change


def _grain(spread: float) -> Change:
    return lambda image, rng: _grey(np.asarray(image) + rng.normal(0, spread, (image.height, image.width)))


def _border(image: Image.Image) -> int:
    """The level at the left edge, so that a moved image does not get an edge that no camera shows."""
    return int(np.median(np.asarray(image)[:, :2]))


FRAMES: dict[str, Frames] = {
    "blank, levels from black to white": _blank,
    "lens cap with noise": _lens_cap,
    "noise, fine and coarse": _noise,
    "gradients": _gradients,
    "stripes": _stripes,
}
CHANGES: dict[str, Change] = {
    **{f"blur, radius {radius:g}": _blur(radius) for radius in (0.5, 1, 2, 3, 5, 8)},
    **{f"light x {factor:g}": _light(factor) for factor in (0.1, 0.25, 0.5, 0.7, 1.3, 1.6, 2, 3)},
    **{f"shifted out of frame by {share:g}": _shifted(share) for share in (0.1, 0.25, 0.5, 0.75)},
    **{f"camera turned by {degrees} degrees": _turned(degrees) for degrees in (5, 15, 30, 45)},
    **{f"lower half at level {level}": _half(level) for level in (0, 128, 255)},
    **{f"noise of {spread} levels more": _grain(spread) for spread in (5, 10, 20, 40)},
}
