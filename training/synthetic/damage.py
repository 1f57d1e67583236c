"""Damage good images, so that a network may learn what no image of a set of good parts shows.

Strokes and blots become lighter or darker, rough, dented, or filled from another place of a good image. They stand for
scratches, stains, chips, dents and foreign matter on any product, and for no flaw in particular.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Images = NDArray[np.uint8]
Field = NDArray[np.float32]
Rng = np.random.Generator

_ZOOM = 2  # strokes are drawn at twice the size, so that their edges are smooth
_COUNTS = (0.6, 0.25, 0.15)  # how often an image has one, two and three flaws
_LEAST_CHANGE = (
    12.0  # grey levels, at the place that changes most: less is no damage that a label should bear
)


def damaged(images: Images, rng: Rng) -> tuple[Images, Images]:
    """Copies of images (N, H, W, C), each with one to three flaws, and masks (N, H, W, 1), 255 on the flaws."""
    copies, masks = np.empty_like(images), np.empty((*images.shape[:3], 1), np.uint8)
    for place, image in enumerate(images):
        copies[place], masks[place, :, :, 0] = _one(image, images, rng)
    return copies, masks


def _one(image: Images, images: Images, rng: Rng) -> tuple[Images, Images]:
    """A flaw may fall where it changes nothing, as a dark one on black ground does; then all are drawn again. An image
    that no flaw can change, such as one without any contrast, ends with a grey square."""
    for _ in range(20):
        changed = image.astype(np.float32)
        for _ in range(int(rng.choice(len(_COUNTS), p=_COUNTS)) + 1):
            flaw = _flaw(rng, image.shape[0], image.shape[1])
            changed += flaw[:, :, None] * (_surface(changed, flaw, images, rng) - changed)
        change = np.abs(changed - image).max(2)
        if change.max() >= _LEAST_CHANGE:
            mask = np.where(change > _LEAST_CHANGE / 3, 255, 0)
            return np.rint(changed).astype(np.uint8), mask.astype(np.uint8)
    square = np.s_[: max(1, image.shape[0] // 8), : max(1, image.shape[1] // 8)]
    copy, marked = image.copy(), np.zeros(image.shape[:2], np.uint8)
    copy[square] = 255 - np.uint8(255) * (image[square].mean() > 127)
    marked[square] = 255
    return copy, marked


def _flaw(rng: Rng, height: int, width: int) -> Field:
    """Where a flaw lies, 0 to 1 (H, W): a stroke or a blot, sharp or soft."""
    canvas = Image.new("L", (width * _ZOOM, height * _ZOOM), 0)
    pen, side = ImageDraw.Draw(canvas), min(height, width) * _ZOOM
    start = np.array([rng.uniform(0, width * _ZOOM), rng.uniform(0, height * _ZOOM)])
    if rng.random() < 0.5:
        thick = max(1, round(side * _between(rng, 0.006, 0.025)))
        pen.line(_corners(_stroke(rng, start, side)), fill=255, width=thick, joint="curve")
    else:
        pen.polygon(_corners(_blot(rng, start, side)), fill=255)
    drawn = canvas.reduce(_ZOOM)
    if rng.random() < 0.4:
        drawn = drawn.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.0))))
    return np.asarray(drawn, np.float32) / np.float32(255)


def _corners(path: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in path]


def _between(rng: Rng, low: float, high: float) -> float:
    """Small sizes are as frequent as large ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _stroke(rng: Rng, start: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """A path (n, 2) that bends a little or a lot."""
    steps = int(rng.integers(3, 14))
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.choice([0.05, 0.5]), steps))
    length = side * _between(rng, 0.04, 0.4) / steps
    return start + np.cumsum(length * np.stack([np.cos(turns), np.sin(turns)], 1), 0)


def _blot(rng: Rng, start: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """A ragged outline (n, 2), round or long."""
    angle, waves = np.linspace(0, 2 * np.pi, 18, endpoint=False), np.arange(1, 5)
    size, phase = rng.normal(0, 0.25, 4) / waves, rng.uniform(0, 7, 4)
    bumps = (size[:, None] * np.cos(waves[:, None] * angle + phase[:, None])).sum(0)
    reach = side * _between(rng, 0.012, 0.09) * np.clip(1 + bumps, 0.3, 2.0)
    turn, flat = rng.uniform(0, np.pi), rng.uniform(0.5, 1.0)
    u, v = reach * np.cos(angle), reach * np.sin(angle) * flat
    turned = np.stack([u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)], 1)
    return np.asarray(start + turned)


def _surface(image: Field, flaw: Field, images: Images, rng: Rng) -> Field:
    """How a flawed surface looks (H, W, C), everywhere; `flaw` tells a dent its slopes."""
    kind = rng.random()
    if kind < 0.4:
        tone = rng.uniform(0.2, 0.75) if rng.random() < 0.6 else rng.uniform(1.3, 1.9)
        other = image * np.float32(tone)
    elif kind < 0.55:
        grain = rng.normal(0, rng.uniform(10, 40), (*image.shape[:2], 1)).astype(np.float32)
        other = image * np.float32(rng.uniform(0.7, 1.2)) + grain
    elif kind < 0.65:
        other = np.full_like(image, rng.uniform(0, 255))
    elif kind < 0.8:
        other = _dented(image, flaw, rng)
    else:
        donor = images[int(rng.integers(len(images)))].astype(np.float32)
        other = np.roll(donor, rng.integers(image.shape[:2]).tolist(), (0, 1))
        if rng.random() < 0.5:
            other = other[::-1] if rng.random() < 0.5 else other[:, ::-1]
    return np.asarray(np.clip(other, 0, 255), np.float32)


def _dented(image: Field, flaw: Field, rng: Rng) -> Field:
    """A dent has a lighter and a darker slope, as the light falls."""
    down, across = np.gradient(flaw)
    turn = rng.uniform(0, 2 * np.pi)
    slope = down * np.sin(turn) + across * np.cos(turn)
    slope /= np.abs(slope).max() + 1e-6
    tone = 1 + np.float32(rng.uniform(0.4, 1.0)) * slope[:, :, None] + np.float32(rng.uniform(-0.3, 0.1))
    return np.asarray(image * tone, np.float32)
