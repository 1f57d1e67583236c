"""Images of anything but the parts at hand: they teach the guard what a stranger looks like.

Fields of noise, gradients, gratings, overlapping shapes, made-up parts, and images of the set itself that no camera
would take: negatives, half empty, shuffled, moved, turned, out of focus, over- or underexposed. Most have the
brightness and contrast of an image of the set, so that those two alone tell little.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.synthetic.draw import draw

Rng = np.random.Generator
Field = NDArray[np.float32 | np.float64]
_PART_SEED = 77_000  # no shipped set is drawn with it
_CHUNK = 256


@dataclass(frozen=True)
class Canvas:
    """Height, width, and the coordinates and frequencies of each pixel, made once."""

    height: int
    width: int

    @property
    def places(self) -> tuple[Field, Field]:
        y, x = np.mgrid[0 : self.height, 0 : self.width].astype(float)
        return y, x

    @property
    def frequencies(self) -> tuple[Field, Field]:
        return np.fft.fftfreq(self.height)[:, None], np.fft.fftfreq(self.width)[None]


def _flat(rng: Rng, canvas: Canvas) -> Field:
    return np.zeros((canvas.height, canvas.width))


def _gradient(rng: Rng, canvas: Canvas) -> Field:
    """A slope or a vignette, with any tone curve."""
    y, x = canvas.places
    u, v = x / canvas.width - 0.5, y / canvas.height - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    field = u * np.cos(turn) + v * np.sin(turn)
    if rng.random() < 0.5:
        field = np.hypot(u - rng.uniform(-0.7, 0.7), v - rng.uniform(-0.7, 0.7))
    return np.asarray(np.sign(field) * np.abs(field) ** rng.uniform(0.5, 2))


def _noise(rng: Rng, canvas: Canvas) -> Field:
    """Noise whose spectrum falls by any power of the frequency, as in clouds, textures and white noise."""
    down, across = canvas.frequencies
    size = np.hypot(down * np.exp(0.4 * rng.normal()), across * np.exp(0.4 * rng.normal()))
    size[0, 0] = 1
    white = rng.normal(size=(canvas.height, canvas.width))
    return np.asarray(np.fft.ifft2(np.fft.fft2(white) / size ** rng.uniform(0, 2.8)).real)


def _grating(rng: Rng, canvas: Canvas) -> Field:
    y, x = canvas.places
    period, turn = rng.uniform(2, max(canvas.height, canvas.width) / 2), rng.uniform(0, np.pi)
    field = np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / period)
    if rng.random() < 0.5:
        field = np.sign(field)
    if rng.random() < 0.3:
        field = field * np.sin((y * np.cos(turn) - x * np.sin(turn)) * 2 * np.pi / period)
    return np.asarray(field)


def _shapes(rng: Rng, canvas: Canvas) -> Field:
    """Shapes that cover each other, few large and many small, flat or textured: the statistics of natural scenes."""
    y, x = canvas.places
    field = np.full(x.shape, rng.normal())
    texture = _noise(rng, canvas)
    texture *= rng.choice([0, 0.1, 0.4]) / (texture.std() + 1e-9)
    largest = rng.uniform(0.15, 0.7) * max(x.shape)
    smallest = max(1.0, rng.uniform(0.01, 0.1) * min(x.shape))
    power = 1 - rng.uniform(1.2, 3)
    for _ in range(int(rng.integers(3, 120))):
        radius = (smallest**power + rng.random() * (largest**power - smallest**power)) ** (1 / power)
        cx, cy = rng.uniform(-0.1, 1.1) * canvas.width, rng.uniform(-0.1, 1.1) * canvas.height
        turn, aspect = rng.uniform(0, np.pi), np.exp(0.5 * rng.normal())
        left, right = max(0, int(cx - 4 * radius)), min(canvas.width, int(cx + 4 * radius + 1))
        top, bottom = max(0, int(cy - 4 * radius)), min(canvas.height, int(cy + 4 * radius + 1))
        if left >= right or top >= bottom:
            continue
        box = np.s_[top:bottom, left:right]
        p = (x[box] - cx) * np.cos(turn) + (y[box] - cy) * np.sin(turn)
        q = (y[box] - cy) * np.cos(turn) - (x[box] - cx) * np.sin(turn)
        if rng.random() < 0.5:
            inside = (p / aspect) ** 2 + (q * aspect) ** 2 < radius**2
        else:
            inside = np.maximum(np.abs(p) / aspect, np.abs(q) * aspect) < radius
        tone = rng.normal() + 0.5 * rng.normal() * p / radius + texture[box]
        field[box] = np.where(inside, tone, field[box])
    return field


def _round(rng: Rng, canvas: Canvas) -> Field:
    """A round product seen from above: rings of different tones about one centre, with a few marks on it."""
    y, x = canvas.places
    away = np.hypot(
        (x / canvas.width - 0.5 + rng.normal(0, 0.05)) * rng.uniform(0.9, 1.1),
        y / canvas.height - 0.5 + rng.normal(0, 0.05),
    )
    edges = np.sort(rng.uniform(0.03, rng.uniform(0.25, 0.6), int(rng.integers(1, 14))))
    tones = rng.normal(size=len(edges) + 1)
    field = tones[np.searchsorted(edges, away)]
    for _ in range(int(rng.integers(0, 8))):
        turn, out, size = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4), rng.uniform(0.01, 0.06)
        mark = np.hypot(
            x / canvas.width - 0.5 - out * np.cos(turn), y / canvas.height - 0.5 - out * np.sin(turn)
        )
        field = np.where(mark < size, rng.normal(), field)
    return np.asarray(field, np.float64)


def _part(rng: Rng, canvas: Canvas) -> Field:
    """A made-up part, squeezed to the canvas as the preprocessing would."""
    drawn = draw(np.random.default_rng([_PART_SEED, int(rng.integers(1 << 30))]), 128).image
    squeezed = Image.fromarray(drawn).resize((canvas.width, canvas.height), Image.Resampling.BILINEAR)
    return np.asarray(squeezed, np.float64)


def _negative(rng: Rng, own: Field) -> Field:
    return 255 - own


def _half_empty(rng: Rng, own: Field) -> Field:
    """A transfer that broke off, or a shutter half open."""
    changed = own.copy()
    changed[int(rng.uniform(0.3, 0.8) * len(own)) :] = rng.choice([0, 128, 255, own.mean()])
    return changed[::-1] if rng.random() < 0.5 else changed


def _shuffled(rng: Rng, own: Field) -> Field:
    """Sixteen tiles in another order: every detail is there, and the part is not."""
    height, width = max(1, own.shape[0] // 4), max(1, own.shape[1] // 4)
    changed = own.copy()
    for place, other in enumerate(rng.permutation(16)):
        to, source = divmod(place, 4), divmod(int(other), 4)
        changed[to[0] * height : (to[0] + 1) * height, to[1] * width : (to[1] + 1) * width] = own[
            source[0] * height : (source[0] + 1) * height, source[1] * width : (source[1] + 1) * width
        ]
    return changed


def _moved(rng: Rng, own: Field) -> Field:
    """A fifth to four fifths of the part out of the frame, to any side, over the ground at its edge."""
    height, width = own.shape[:2]
    down, across = 0, 0
    share = rng.uniform(0.2, 0.8) * rng.choice([-1, 1])
    if rng.random() < 0.5:
        down = round(share * height)
    else:
        across = round(share * width)
    if rng.random() < 0.3:  # to a corner
        down, across = round(rng.uniform(-0.6, 0.6) * height), round(0.75 * share * width)
    changed = np.empty_like(own)
    changed[:] = _ground(own)
    changed[max(0, down) : height + down, max(0, across) : width + across] = own[
        max(0, -down) : height - down, max(0, -across) : width - across
    ]
    return changed


def _turned(rng: Rng, own: Field) -> Field:
    """Turned as far from a quarter turn as a camera that slipped."""
    degrees, ground = rng.uniform(12, 78) + 90 * int(rng.integers(4)), _ground(own)
    planes = [
        Image.fromarray(own[..., place].astype(np.float32)).rotate(
            degrees, Image.Resampling.BILINEAR, fillcolor=float(ground[place])
        )
        for place in range(own.shape[2])
    ]
    return np.stack([np.asarray(plane, np.float64) for plane in planes], axis=2)


def _ground(own: Field) -> Field:
    """The median of each channel at the left edge, so that a moved image gets no edge that no camera shows."""
    return np.asarray(np.median(own[:, :2], axis=(0, 1)))


def _too_near(rng: Rng, own: Field) -> Field:
    """A quarter of the image at twice the size."""
    height, width = own.shape[:2]
    top, left = rng.integers(0, height - height // 2), rng.integers(0, width - width // 2)
    near = own[top : top + height // 2, left : left + width // 2].repeat(2, 0).repeat(2, 1)
    near = np.pad(near, ((0, height - len(near)), (0, width - near.shape[1]), (0, 0)), mode="edge")
    inner = near[:-2, 1:-1] + near[2:, 1:-1] + near[1:-1, :-2] + near[1:-1, 2:]
    near[1:-1, 1:-1] = inner / 4
    return near


def _out_of_focus(rng: Rng, own: Field) -> Field:
    radius = rng.uniform(0.03, 0.12) * min(own.shape[:2])
    return np.stack([_blurred(own[..., place], radius) for place in range(own.shape[2])], axis=2)


def _overexposed(rng: Rng, own: Field) -> Field:
    return np.asarray((own - own.mean()) * rng.uniform(1.8, 4) + own.mean() + rng.uniform(-60, 60))


def _underexposed(rng: Rng, own: Field) -> Field:
    """An eighth to a third of the light, as of a failing lamp or a closed iris."""
    return own * rng.uniform(0.12, 0.35)


def _blurred(field: Field, radius: float) -> Field:
    down, across = np.fft.fftfreq(field.shape[0])[:, None], np.fft.fftfreq(field.shape[1])[None]
    passed = np.exp(-2 * (np.pi * np.hypot(down, across) * radius) ** 2)
    return np.asarray(np.fft.ifft2(np.fft.fft2(field) * passed).real)


DRAWN: dict[str, tuple[Callable[[Rng, Canvas], Field], int]] = {
    "flat": (_flat, 1),
    "gradient": (_gradient, 10),
    "noise": (_noise, 9),
    "shapes": (_shapes, 9),
    "grating": (_grating, 1),
    "round": (_round, 5),
    "part": (_part, 8),
}
CHANGED: dict[str, tuple[Callable[[Rng, Field], Field], int]] = {
    "negative": (_negative, 1),
    "half empty": (_half_empty, 1),
    "shuffled": (_shuffled, 1),
    "moved": (_moved, 1),
    "turned": (_turned, 2),
    "too near": (_too_near, 1),
    "out of focus": (_out_of_focus, 1),
    "overexposed": (_overexposed, 1),
    # Hardly told from the images of a set that was taken in many lights, and defects fade with the light.
    "underexposed": (_underexposed, 4),
}
KINDS = (*DRAWN, *CHANGED)
# Grey levels of noise on changed images; with much of it a dark image is told by the noise, and not by the dark.
_NOISES = {"underexposed": (0, 0, 1)}
_TURNS = [name for kinds in (DRAWN, CHANGED) for name, (_, weight) in kinds.items() for _ in range(weight)]


def strangers(
    own: NDArray[np.uint8], count: int, *, seed: int
) -> Iterator[tuple[NDArray[np.uint8], list[str]]]:
    """`count` strangers to the images `own` (M, H, W, C), in chunks (n, H, W, C), each with the names of its kinds."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(own.shape[1], own.shape[2])
    for start in range(0, count, _CHUNK):
        drawn = [_one(rng, own, canvas, place) for place in range(start, min(count, start + _CHUNK))]
        yield np.stack([image for image, _ in drawn]), [kind for _, kind in drawn]


def _one(rng: Rng, own: NDArray[np.uint8], canvas: Canvas, place: int) -> tuple[NDArray[np.uint8], str]:
    model = own[rng.integers(len(own))].astype(np.float64)
    kind = _TURNS[place % len(_TURNS)]
    if kind in CHANGED:
        field, noise = CHANGED[kind][0](rng, model), rng.choice(_NOISES.get(kind, (0, 1, 3)))
    else:
        field, noise = _toned(rng, DRAWN[kind][0](rng, canvas), model), rng.choice([0, 0.5, 1.5, 4])
    return np.clip(field + rng.normal(0, noise, field.shape), 0, 255).astype(np.uint8), kind


def _toned(rng: Rng, field: Field, model: Field) -> Field:
    """The field (H, W), sharp or soft, as grey levels (H, W, C), for the most part those of the model image."""
    if rng.random() < 0.5:
        field = _blurred(field, rng.uniform(0.3, 2.5))
    mean, spread = rng.uniform(10, 245), rng.uniform(0, 70)
    if rng.random() < 0.6:
        mean, spread = model.mean(), model.std()
    tone = mean + spread * (field - field.mean()) / (field.std() + 1e-6)
    # A colour of its own now and then, where the set has colours.
    tint = rng.normal(0, 12, model.shape[2]) if model.shape[2] > 1 and rng.random() < 0.5 else 0.0
    return np.repeat(tone[..., None], model.shape[2], axis=2) + tint
