"""Designs of made-up parts, as outlines in their own coordinates.

A part is a stack of filled outlines painted over one another: a later one hides what lies under it. Lengths are
in units of the part's own radius, so every part fits in the circle of radius 1 around (0, 0). A `level` is a
height between 0 (nothing there: the background shows, as in a bolt hole) and 1 (nearest to the camera).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Shape (N, 2): x to the right, y down."""

Rng = np.random.Generator

FINISHES = ("cast", "turned", "brushed", "painted")


@dataclass(frozen=True)
class Face:
    outline: Points
    level: float


@dataclass(frozen=True)
class Part:
    """A design: two photographs that share it show the same part."""

    family: str
    finish: str
    faces: tuple[Face, ...]


def circle(radius: float, x: float = 0.0, y: float = 0.0, corners: int = 64) -> Points:
    angle = np.linspace(0.0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def rounded(corners: list[tuple[float, float]], radius: float) -> Points:
    """The polygon through `corners` with each corner replaced by a short curve of about `radius`."""
    points = np.asarray(corners, dtype=np.float64)
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    curve = []
    for here, left, right in zip(points, before, after, strict=True):
        to_left, to_right = left - here, right - here
        start = here + to_left * min(0.45, radius / float(np.hypot(*to_left)))
        end = here + to_right * min(0.45, radius / float(np.hypot(*to_right)))
        curve += [(1 - t) ** 2 * start + 2 * t * (1 - t) * here + t**2 * end for t in np.linspace(0, 1, 6)]
    return np.asarray(curve)


def _box(half_width: float, half_height: float, radius: float, x: float = 0.0, y: float = 0.0) -> Points:
    w, h = half_width, half_height
    return rounded([(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)], radius)


def _ring_of_holes(count: int, orbit: float, radius: float, phase: float) -> list[Face]:
    angles = phase + 2 * np.pi * np.arange(count) / count
    return [Face(circle(radius, orbit * np.cos(a), orbit * np.sin(a), 32), 0.0) for a in angles]


def _disc(rng: Rng) -> list[Face]:
    rim, hub = rng.uniform(0.72, 0.88), rng.uniform(0.3, 0.45)
    faces = [
        Face(circle(1.0), rng.uniform(0.7, 0.95)),
        Face(circle(rim), rng.uniform(0.4, 0.6)),
        Face(circle(hub), rng.uniform(0.7, 1.0)),
    ]
    if rng.random() < 0.8:
        faces.append(Face(circle(hub * rng.uniform(0.35, 0.7)), 0.0))
    return faces


def _flange(rng: Rng) -> list[Face]:
    boss = rng.uniform(0.4, 0.55)
    holes = int(rng.integers(3, 9))
    orbit = (1 + boss) / 2
    return [
        Face(circle(1.0), rng.uniform(0.45, 0.65)),
        Face(circle(boss), rng.uniform(0.75, 1.0)),
        Face(circle(boss * rng.uniform(0.4, 0.7)), 0.0),
        *_ring_of_holes(holes, orbit, rng.uniform(0.07, 0.12), rng.uniform(0, 2 * np.pi)),
    ]


def _gear(rng: Rng) -> list[Face]:
    teeth = int(rng.integers(12, 31))
    root = rng.uniform(0.84, 0.9)
    steps = np.array([0.0, 0.18, 0.5, 0.68])
    angles = ((np.arange(teeth)[:, None] + steps[None, :]) * 2 * np.pi / teeth).ravel()
    radii = np.tile([1.0, 1.0, root, root], teeth) * np.ones_like(angles)
    outline = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    bore = rng.uniform(0.14, 0.22)
    faces = [
        Face(outline, rng.uniform(0.75, 0.95)),
        Face(circle(rng.uniform(0.66, 0.76)), rng.uniform(0.4, 0.55)),
        Face(circle(bore * rng.uniform(1.6, 2.0)), rng.uniform(0.8, 1.0)),
        Face(circle(bore), 0.0),
    ]
    if rng.random() < 0.5:
        faces.append(Face(_box(bore * 0.25, bore * 0.35, 0.01, y=-bore), 0.0))
    if rng.random() < 0.5:
        faces += _ring_of_holes(int(rng.integers(3, 7)), 0.52, rng.uniform(0.06, 0.1), rng.uniform(0, 6.28))
    return faces


def _bracket(rng: Rng) -> list[Face]:
    leg, foot = rng.uniform(0.42, 0.56), rng.uniform(0.42, 0.56)
    a = 0.78
    corners = [(-a, -a), (-a + leg, -a), (-a + leg, a - foot), (a, a - foot), (a, a), (-a, a)]
    hole = rng.uniform(0.09, 0.14)
    middle_x, middle_y = -a + leg / 2, a - foot / 2
    rib = rng.uniform(0.05, 0.08)
    return [
        Face(rounded(corners, rng.uniform(0.06, 0.2)), rng.uniform(0.45, 0.65)),
        Face(_box(rib, 0.45, 0.03, middle_x, -0.05), rng.uniform(0.75, 1.0)),
        Face(circle(hole, middle_x, -a + 0.2, 32), 0.0),
        Face(circle(hole, a - 0.24, middle_y, 32), 0.0),
        Face(circle(hole * 0.8, middle_x, middle_y, 32), 0.0),
    ]


def _plate(rng: Rng) -> list[Face]:
    w, h = rng.uniform(0.78, 0.86), rng.uniform(0.45, 0.62)
    inset = rng.uniform(0.13, 0.18)
    hole = rng.uniform(0.055, 0.085)
    faces = [Face(_box(w, h, rng.uniform(0.04, 0.2)), rng.uniform(0.45, 0.65))]
    if rng.random() < 0.7:
        pad = _box(w * rng.uniform(0.45, 0.62), h * rng.uniform(0.4, 0.65), 0.08)
        faces.append(Face(pad, rng.uniform(0.75, 1.0)))
    if rng.random() < 0.5:
        faces.append(Face(_box(w * rng.uniform(0.2, 0.35), rng.uniform(0.06, 0.1), 0.08), 0.0))
    spots = [(x, y) for x in (-w + inset, w - inset) for y in (-h + inset, h - inset)]
    return faces + [Face(circle(hole, x, y, 32), 0.0) for x, y in spots]


def _link(rng: Rng) -> list[Face]:
    big, small = rng.uniform(0.4, 0.5), rng.uniform(0.27, 0.36)
    left, right = -1 + big, 1 - small
    waist = rng.uniform(0.5, 0.75)
    bar = [(left, -big * waist), (right, -small * waist), (right, small * waist), (left, big * waist)]
    level = rng.uniform(0.5, 0.7)
    return [
        Face(np.asarray(bar), level),
        Face(circle(big, left), rng.uniform(0.75, 1.0)),
        Face(circle(small, right), rng.uniform(0.75, 1.0)),
        Face(circle(big * rng.uniform(0.45, 0.62), left), 0.0),
        Face(circle(small * rng.uniform(0.4, 0.55), right), 0.0),
    ]


def _spider(rng: Rng) -> list[Face]:
    arms = int(rng.integers(3, 6))
    half_width, pad, hub = rng.uniform(0.15, 0.2), rng.uniform(0.2, 0.26), rng.uniform(0.4, 0.5)
    level, orbit = rng.uniform(0.45, 0.65), 1 - pad
    faces: list[Face] = []
    for angle in 2 * np.pi * np.arange(arms) / arms:
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]]) * half_width
        faces.append(Face(np.stack([across, along * orbit + across, along * orbit - across, -across]), level))
        faces.append(Face(circle(pad, *(along * orbit)), level + 0.15))
    faces.append(Face(circle(hub), rng.uniform(0.75, 1.0)))
    faces.append(Face(circle(hub * rng.uniform(0.35, 0.6)), 0.0))
    return faces + _ring_of_holes(arms, orbit, pad * rng.uniform(0.35, 0.5), 0.0)


def _cap(rng: Rng) -> list[Face]:
    sides = int(rng.integers(5, 9))
    angles = 2 * np.pi * np.arange(sides) / sides
    outline = rounded([(0.97 * np.cos(a), 0.97 * np.sin(a)) for a in angles], rng.uniform(0.05, 0.25))
    step = rng.uniform(0.6, 0.72)
    faces = [
        Face(outline, rng.uniform(0.45, 0.6)),
        Face(circle(step), rng.uniform(0.65, 0.8)),
        Face(circle(step * rng.uniform(0.5, 0.75)), rng.uniform(0.85, 1.0)),
    ]
    if rng.random() < 0.5:
        faces.append(Face(circle(rng.uniform(0.1, 0.25)), 0.0))
    return faces


_FAMILIES: dict[str, Callable[[Rng], list[Face]]] = {
    "disc": _disc,
    "flange": _flange,
    "gear": _gear,
    "bracket": _bracket,
    "plate": _plate,
    "link": _link,
    "spider": _spider,
    "cap": _cap,
}
FAMILIES = tuple(_FAMILIES)


def design(rng: Rng) -> Part:
    """A new part of a random family; two draws agree only if the generators did."""
    family = FAMILIES[int(rng.integers(len(FAMILIES)))]
    finish = FINISHES[int(rng.integers(len(FINISHES)))]
    return Part(family, finish, tuple(_FAMILIES[family](rng)))
