"""How alike two images are at every turn, mirrored or not: rings about the middle of each, compared by Fourier."""

import numpy as np
from numpy.typing import NDArray

SIDE = 128
ANGLES = 128
_RINGS = 32
_RADIUS = 58.0
_REACH = 8  # pixels that the middle of the part may lie off the middle of the image
_LOWEST, _HIGHEST = 6, 48  # waves along a ring: fewer are light and shade, more are noise
_NEAR = 4 * 2 * np.pi / ANGLES  # angle over which the strength of detail is taken

Floats = NDArray[np.float32]
Rings = NDArray[np.complex64]
"""Shape (waves, rings) of one image, (N, waves, rings) of many; of length 1."""


def _circles(rings: int, angles: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    radius = (np.arange(rings) + 0.5) / rings * _RADIUS
    angle = np.arange(angles) * (2 * np.pi / angles)
    return radius[:, None] * np.sin(angle), radius[:, None] * np.cos(angle)


def _moved(rings: int, angles: int, reach: int, step: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Moves (M, 2) of the middle, and for each the flat places (M, rings, angles) of the circles about it."""
    along = np.arange(-reach, reach + 1, step)
    moves = np.stack(np.meshgrid(along, along, indexing="ij"), -1).reshape(-1, 2)
    down, across = (np.rint(circle + SIDE / 2 - 0.5) for circle in _circles(rings, angles))
    rows = (down[None] + moves[:, 0, None, None]).clip(0, SIDE - 1)
    columns = (across[None] + moves[:, 1, None, None]).clip(0, SIDE - 1)
    return moves, (rows * SIDE + columns).astype(np.intp)


_COARSE = _moved(16, 32, _REACH, 2)
_FINE = _moved(32, 64, 1, 1)
_CIRCLES = _circles(_RINGS, ANGLES)


def take_rings(pixels: NDArray[np.uint8]) -> Rings:
    """The rings of a grey image (128, 128). Those of the same image turned differ in phase alone; mirrored ones are
    the conjugate."""
    image = pixels.astype(np.float32)
    down, across = _middle(image)
    y = (_CIRCLES[0] + (SIDE / 2 - 0.5 + down)).clip(0, SIDE - 1.001)
    x = (_CIRCLES[1] + (SIDE / 2 - 0.5 + across)).clip(0, SIDE - 1.001)
    row, column = y.astype(np.intp), x.astype(np.intp)
    dy, dx = (y - row).astype(np.float32), (x - column).astype(np.float32)
    flat, place = image.ravel(), row * SIDE + column
    upper = flat[place] * (1 - dx) + flat[place + 1] * dx
    lower = flat[place + SIDE] * (1 - dx) + flat[place + SIDE + 1] * dx
    # A turned light makes an edge bright that was dark, so where there is detail tells more than its sign.
    strength = np.abs(_levelled(_detail(upper * (1 - dy) + lower * dy)))
    waves = np.fft.rfft(_levelled(_detail(20 * strength)), axis=1)[:, _LOWEST:_HIGHEST]
    waves *= np.sqrt(np.arange(_RINGS) + 0.5)[:, None]  # a wide ring has more pixels
    return (waves / max(float(np.linalg.norm(waves)), 1e-6)).T.astype(np.complex64)


def _middle(image: Floats) -> NDArray[np.intp]:
    """How far (rows, columns) the middle of the part lies off that of the image: its rings are most even there."""
    flat, moved = image.ravel(), np.zeros(2, np.intp)
    for moves, places in (_COARSE, _FINE):
        start = int(moved[0] * SIDE + moved[1])
        uneven = flat.take(places + start, mode="clip").var(axis=2) @ np.arange(1, places.shape[1] + 1)
        moved = moved + moves[uneven.argmin()]
    return moved


def _detail(polar: Floats) -> Floats:
    waves = np.fft.rfft(polar, axis=1)
    waves[:, :_LOWEST] = 0
    waves[:, _HIGHEST:] = 0
    return np.fft.irfft(waves, ANGLES, axis=1).astype(np.float32)


def _levelled(detail: Floats) -> Floats:
    """Detail over its own strength nearby, so that faint places count as much as strong ones."""
    blur = np.exp(-0.5 * (np.arange(ANGLES // 2 + 1) * _NEAR) ** 2)
    power = np.fft.irfft(np.fft.rfft(detail**2, axis=1) * blur, ANGLES, axis=1).clip(0)
    padded = np.pad(power, ((2, 2), (0, 0)), mode="edge")
    near = np.mean([padded[ring : ring + len(power)] for ring in range(5)], axis=0)
    levelled: Floats = (detail / (np.sqrt(near) + 1)).astype(np.float32)
    return levelled


def alike_at_any_turn(some: Rings, others: Rings) -> tuple[Floats, NDArray[np.intp]]:
    """The largest correlation (N, M) over all turns, mirrored or not, and at which of the 128 turns it is."""
    one = np.ascontiguousarray(some.transpose(1, 0, 2))
    other = np.ascontiguousarray(others.transpose(1, 2, 0))
    found = []
    for second in (other.conj(), other):
        waves = np.zeros((len(some), len(others), ANGLES // 2 + 1), np.complex64)
        waves[:, :, _LOWEST:_HIGHEST] = np.matmul(one, second).transpose(1, 2, 0)
        turns = np.fft.irfft(waves, ANGLES, axis=2) * (ANGLES / 2)
        found.append((turns.max(axis=2).astype(np.float32), turns.argmax(axis=2)))
    (plain, at), (mirrored, at_mirrored) = found
    return np.maximum(plain, mirrored), np.where(mirrored > plain, at_mirrored, at)
