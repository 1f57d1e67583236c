"""Models that judge without looking at the part; a real model must beat them.

Logistic regression on the brightness histogram knows how light or dark an image is; on 16x16 pixels it knows
where, and on their border it knows the background. A set on which one of them does well is a set whose labels leak
through light, background or pose, and a network's accuracy on it proves little.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Images = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]
"""An array (N, H, W) or (N, H, W, C), or a sequence of (H, W) or (H, W, C) of any sizes."""
Seen = tuple[Mapping[str, Floats], NDArray[np.int64]]
"""Features (N, F) by the name of the model that sees them, and labels (N,)."""

BINS = 32
SIDE = 16
_BORDER = 2
_STRENGTHS = (1.0, 0.1, 0.01)  # of the L2 penalty, per example; chosen on a held-out quarter
_STEPS = 15


def brightness_histogram(image: NDArray[np.uint8]) -> Floats:
    """Shares of the pixels in 32 steps of brightness, shape (32,); square roots, so that small bins count."""
    grey = image if image.ndim == 2 else image.mean(axis=2).astype(np.uint8)
    counts = np.bincount(grey.ravel() // (256 // BINS), minlength=BINS)
    return np.sqrt(counts / grey.size)


def small_pixels(image: NDArray[np.uint8]) -> Floats:
    """The image as 16x16 mean grey levels 0 to 1, shape (256,)."""
    grey = (image if image.ndim == 2 else image.mean(axis=2)).astype(np.float64)
    if min(grey.shape) < SIDE:
        grey = np.repeat(
            np.repeat(grey, -(-SIDE // grey.shape[0]), axis=0), -(-SIDE // grey.shape[1]), axis=1
        )
    rows = np.linspace(0, grey.shape[0], SIDE + 1).astype(int)
    columns = np.linspace(0, grey.shape[1], SIDE + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0), columns[:-1], axis=1)
    means: Floats = sums / np.outer(np.diff(rows), np.diff(columns)) / 255
    return means.ravel()


def border_pixels(image: NDArray[np.uint8]) -> Floats:
    """The outer two of the 16 x 16 mean grey levels on each side, shape (112,): the background, mostly."""
    levels = small_pixels(image).reshape(SIDE, SIDE)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    return np.asarray(levels[~inside])


_BLIND: dict[str, Callable[[NDArray[np.uint8]], Floats]] = {
    "histogram": brightness_histogram,
    "pixels_16x16": small_pixels,
    "border": border_pixels,
}


def _fit(features: Floats, labels: Floats, strength: float, start: Floats | None = None) -> Floats:
    """Weights (F + 1,), the last one the offset, by Newton's method on the penalised log-likelihood."""
    x = np.hstack([features, np.ones((len(features), 1))])
    penalty = np.full(x.shape[1], strength * len(x))
    penalty[-1] = 1e-9  # the offset is free
    weights = np.zeros(x.shape[1]) if start is None else start
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (chance - labels) + penalty * weights
        curve = (x.T * np.maximum(chance * (1 - chance), 1e-6)) @ x + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if float(np.abs(step).max()) < 1e-2:
            break
    return weights


def _hits(weights: Floats, features: Floats, labels: Floats) -> float:
    return float(np.mean((features @ weights[:-1] + weights[-1] > 0) == (labels > 0.5)))


def logistic_accuracy(train_x: Floats, train_y: Floats, test_x: Floats, test_y: Floats) -> float:
    """Accuracy on the test part of an L2 logistic regression; its strength is chosen inside the train part.

    Shapes (N, F) and (N,), labels 0 or 1. A train part of one class only gives the accuracy of guessing it.
    """
    mean, spread = train_x.mean(axis=0), train_x.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    train_x, test_x = (train_x - mean) / scale, (test_x - mean) / scale
    order = np.random.default_rng(0).permutation(len(train_x))
    held, kept = order[: len(order) // 4], order[len(order) // 4 :]
    if len(held) == 0:
        held = kept
    weights: Floats | None = None
    tried = []
    for strength in _STRENGTHS:  # from stiff to free: each fit starts where the last one ended
        weights = _fit(train_x[kept], train_y[kept], strength, weights)
        tried.append((_hits(weights, train_x[held], train_y[held]), strength))
    _, best = max(tried)
    return _hits(_fit(train_x, train_y, best, weights), test_x, test_y)


def baselines(
    train_images: Images, train_labels: Sequence[int], test_images: Images, test_labels: Sequence[int]
) -> dict[str, float]:
    """Accuracies on the test part: of the majority class of the train part, histogram, 16x16 pixels and border.

    Raises ValueError where a part is empty.
    """
    if len(train_images) == 0 or len(test_images) == 0:
        raise ValueError("both parts need images")
    return accuracies(
        (blind_features(train_images), np.asarray(train_labels)),
        (blind_features(test_images), np.asarray(test_labels)),
    )


def blind_features(images: Images) -> dict[str, Floats]:
    """What each model sees of the images, (N, F) by its name."""
    return {name: np.stack([features(image) for image in images]) for name, features in _BLIND.items()}


def accuracies(known: Seen, asked: Seen) -> dict[str, float]:
    """Accuracies on what is `asked`: of the majority class of what is `known`, and of a model of each feature."""
    train_y, test_y = (labels.astype(np.float64) for _, labels in (known, asked))
    majority = float(train_y.mean() >= 0.5)
    return {"majority": float(np.mean(test_y == majority))} | {
        name: logistic_accuracy(train_x, train_y, asked[0][name], test_y)
        for name, train_x in known[0].items()
    }


def crossed_accuracies(seen: Seen, fold_of: NDArray[np.int64]) -> dict[str, float]:
    """The same of all images, each fold judged by the others; `fold_of` (N,) numbers the folds."""
    found: dict[str, float] = {}
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        rest, own = (
            ({name: values[chosen] for name, values in seen[0].items()}, seen[1][chosen])
            for chosen in (~inside, inside)
        )
        for name, value in accuracies(rest, own).items():
            found[name] = found.get(name, 0.0) + value * float(inside.mean())
    return found
