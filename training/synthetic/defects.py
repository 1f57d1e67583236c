"""Flaws drawn on a made-up part: scratch, pit, crack, chip, stain.

Each is first a set of strokes and blots in pixels (`Shape`), then a field of coverage, then three effects: the
metal's tone, its height, and for a chip the metal that is gone. Lengths are shares of the image's shorter side,
so that a flaw is as easy to see at 300 pixels as in a 12-megapixel photograph of the same part.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Rng = np.random.Generator
Field = NDArray[np.float32]
"""Shape (H, W)."""

KINDS = ("scratch", "pit", "crack", "chip", "stain")

_TRIES = 14
_SHARE_LOW, _SHARE_HIGH = 0.0022, 0.028
_MOST_ON_MARKS = 0.12


@dataclass(frozen=True)
class Flaw:
    """Coverage 0 to 1 of the flaw and of the metal lost, and what it does to the covered surface."""

    kind: str
    cover: Field
    lost: Field | None
    tone: float  # the covered surface's brightness as a multiple of what it was
    depth: float  # how much lower the covered surface lies, in part levels
    rough: float  # strength of the broken surface's grain
    share: float  # of the part's area


@dataclass
class _Canvas:
    """Draws at twice the size, so that thin strokes have smooth edges; at one size in very large images."""

    width: int
    height: int

    def __post_init__(self) -> None:
        self.zoom = 2 if max(self.width, self.height) <= 1024 else 1
        self.image = Image.new("L", (self.width * self.zoom, self.height * self.zoom), 0)
        self.pen = ImageDraw.Draw(self.image)

    def line(self, points: NDArray[np.float64], width: float) -> None:
        wide = max(1, round(width * self.zoom))
        self.pen.line(
            [(x * self.zoom, y * self.zoom) for x, y in points], fill=255, width=wide, joint="curve"
        )

    def polygon(self, points: NDArray[np.float64]) -> None:
        self.pen.polygon([(x * self.zoom, y * self.zoom) for x, y in points], fill=255)

    def field(self, blur: float = 0.0) -> Field:
        image = self.image.reduce(self.zoom) if self.zoom > 1 else self.image
        if blur > 0:
            image = image.filter(ImageFilter.GaussianBlur(blur))
        return np.asarray(image, dtype=np.float32) / np.float32(255)


def _blot(
    rng: Rng, x: float, y: float, radius: float, ragged: float, corners: int = 22
) -> NDArray[np.float64]:
    """An irregular closed outline around (x, y)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    waves = np.arange(2, 6)
    size = rng.normal(0, ragged, 4) / np.sqrt(waves)
    phase = rng.uniform(0, 2 * np.pi, 4)
    bumps = (size[:, None] * np.cos(waves[:, None] * angle + phase[:, None])).sum(axis=0)
    r = radius * np.clip(1 + bumps + rng.normal(0, ragged * 0.25, corners), 0.35, 1.9)
    stretch, turn = rng.uniform(0.7, 1.0), rng.uniform(0, np.pi)
    u, v = r * np.cos(angle), r * np.sin(angle) * stretch
    return np.stack(
        [x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], axis=1
    )


def _scratch(rng: Rng, canvas: _Canvas, x: float, y: float, side: float) -> None:
    length, turn, bend = side * rng.uniform(0.14, 0.36), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.12)
    t = np.linspace(-0.5, 0.5, 12)
    u, v = length * t, length * bend * (t**2 - 0.08)
    line = np.stack(
        [x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], axis=1
    )
    width = side * rng.uniform(0.008, 0.013)
    canvas.line(line, width)
    if rng.random() < 0.3:
        beside = np.array([-np.sin(turn), np.cos(turn)]) * side * rng.uniform(0.025, 0.045)
        canvas.line(line[2:9] + beside, width * 0.8)


def _pit(rng: Rng, canvas: _Canvas, x: float, y: float, side: float) -> None:
    count = int(rng.choice([1, 1, 2, 3, 4, 5]))
    radius = side * rng.uniform(0.017, 0.03) / (1 + 0.12 * (count - 1))
    canvas.polygon(_blot(rng, x, y, radius, 0.16))
    for _ in range(count - 1):
        dx, dy = rng.normal(0, 0.04, 2) * side
        canvas.polygon(_blot(rng, x + dx, y + dy, radius * rng.uniform(0.55, 1.0), 0.2))


def _walk(rng: Rng, x: float, y: float, heading: float, steps: int, step: float) -> NDArray[np.float64]:
    turns = heading + np.cumsum(rng.normal(0, 0.25, steps)) + rng.choice([-0.6, 0.6], steps)
    moves = step * rng.uniform(0.6, 1.4, steps)[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return np.concatenate([[[x, y]], np.array([x, y]) + np.cumsum(moves, axis=0)])


def _crack(rng: Rng, canvas: _Canvas, x: float, y: float, side: float) -> None:
    heading, width = rng.uniform(0, 2 * np.pi), side * rng.uniform(0.008, 0.012)
    for way in (0.0, np.pi):
        path = _walk(rng, x, y, heading + way, int(rng.integers(4, 9)), side * 0.02)
        canvas.line(path, width)
        if rng.random() < 0.5:
            fork = path[int(rng.integers(1, len(path)))]
            side_way = heading + way + rng.choice([-0.9, 0.9])
            canvas.line(_walk(rng, fork[0], fork[1], side_way, 4, side * 0.016), width * 0.8)


def _stain(rng: Rng, canvas: _Canvas, x: float, y: float, side: float) -> None:
    radius = side * rng.uniform(0.03, 0.05)
    canvas.polygon(_blot(rng, x, y, radius, 0.2))
    for _ in range(int(rng.integers(1, 4))):
        dx, dy = rng.normal(0, 0.7, 2) * radius
        canvas.polygon(_blot(rng, x + dx, y + dy, radius * rng.uniform(0.4, 0.8), 0.25))


_STROKES = {"scratch": _scratch, "pit": _pit, "crack": _crack, "stain": _stain}


def _edge(cover: Field, rng: Rng) -> tuple[float, float]:
    """A place (x, y) on the outline of the part or of a hole."""
    step = max(1, min(cover.shape) // 150)
    solid = cover[::step, ::step] > 0.5
    inner = solid.copy()
    inner[1:] &= solid[:-1]
    inner[:-1] &= solid[1:]
    inner[:, 1:] &= solid[:, :-1]
    inner[:, :-1] &= solid[:, 1:]
    rows, columns = np.nonzero(solid & ~inner)
    pick = int(rng.integers(len(rows)))
    return float(columns[pick] * step), float(rows[pick] * step)


def _inside(cover: Field, rng: Rng) -> tuple[float, float]:
    """A place (x, y) on the part."""
    height, width = cover.shape
    for _ in range(200):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        if cover[y, x] > 0.5:
            return float(x), float(y)
    return width / 2, height / 2


def _chip(rng: Rng, shape: tuple[int, int], x: float, y: float, side: float) -> tuple[Field, Field]:
    """The broken facet, and inside it the bite that is gone."""
    facet, bite = _Canvas(shape[1], shape[0]), _Canvas(shape[1], shape[0])
    outline = _blot(rng, x, y, side * rng.uniform(0.038, 0.056), 0.22, corners=14)
    facet.polygon(outline)
    bite.polygon(np.array([x, y]) + (outline - np.array([x, y])) * rng.uniform(0.5, 0.68))
    return facet.field(), bite.field()


def _once(rng: Rng, kind: str, part: Field) -> Flaw:
    height, width = part.shape
    side = float(min(part.shape))
    lost: Field | None = None
    tone, depth, rough = 1.0, 0.0, 0.0
    if kind == "chip":
        cover, lost = _chip(rng, (height, width), *_edge(part, rng), side)
        tone, depth, rough = (
            rng.uniform(1.3, 1.6) if rng.random() < 0.6 else rng.uniform(0.45, 0.6),
            0.25,
            0.3,
        )
    else:
        canvas = _Canvas(width, height)
        _STROKES[kind](rng, canvas, *_inside(part, rng), side)
        cover = canvas.field(side * 0.004 if kind == "stain" else 0.0)
        if kind == "scratch":
            tone, depth = rng.uniform(1.5, 1.8) if rng.random() < 0.55 else rng.uniform(0.35, 0.55), 0.1
        elif kind == "pit":
            tone, depth = rng.uniform(0.25, 0.42), 0.35
        elif kind == "crack":
            tone, depth = rng.uniform(0.2, 0.35), 0.1
        else:
            tone, rough = rng.uniform(0.4, 0.58) if rng.random() < 0.65 else rng.uniform(1.4, 1.6), 0.12
    cover = cover * part
    share = float(np.count_nonzero(cover > 0.5)) / max(1, int(np.count_nonzero(part > 0.5)))
    return Flaw(kind, cover, lost, tone, depth, rough, share)


def add_flaw(rng: Rng, kind: str, part: Field, marks: Field) -> Flaw:
    """A flaw of this kind on the part (coverage 0 to 1), clear of stamped marks and of a fair size.

    Chance may put a stroke half off the part or onto lettering; such a try is drawn again. After the last one
    the try nearest to a fair size is kept, so the call always returns.
    """
    best: tuple[float, Flaw] | None = None
    for _ in range(_TRIES):
        flaw = _once(rng, kind, part)
        area = float(flaw.cover.sum())
        on_marks = float((flaw.cover * marks).sum()) / max(area, 1.0)
        miss = max(0.0, _SHARE_LOW - flaw.share) + max(0.0, flaw.share - _SHARE_HIGH)
        badness = miss * 100 + max(0.0, on_marks - _MOST_ON_MARKS)
        if best is None or badness < best[0]:
            best = (badness, flaw)
        if badness == 0:
            break
    assert best is not None
    return best[1]
