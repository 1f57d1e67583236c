"""The test part under other light, blur, noise, compression, turns and shifts: what a model bears before it errs."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from shared.contract.operating_point import OperatingPoint
from shared.json_text import Card
from training.proof.line import shares

Images = NDArray[np.uint8]
Change = Callable[[Image.Image, np.random.Generator], Image.Image]

MOST = 300  # images that each change is tried on


def _noise(spread: float) -> Change:
    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.asarray(image, np.float32)
        return Image.fromarray(np.clip(pixels + rng.normal(0, spread, pixels.shape), 0, 255).astype(np.uint8))

    return change


def _light(factor: float) -> Change:
    return lambda image, rng: image.point(
        [min(255, round(v * factor)) for v in range(256)] * len(image.getbands())
    )


def _jpeg(quality: int) -> Change:
    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        with Image.open(stream) as read:
            return read.convert(image.mode)

    return change


def _turned(degrees: float) -> Change:
    return lambda image, rng: _moved(image, degrees, 0)


def _shifted(share: float) -> Change:
    return lambda image, rng: _moved(image, 0, round(share * image.width))


def _moved(image: Image.Image, degrees: float, pixels: int) -> Image.Image:
    """Turned and shifted; the border goes on mirrored, so that no edge appears that no camera shows."""
    array = np.asarray(image)
    edge = max(2, min(array.shape[:2]) // 4)
    wide = np.pad(array, [(edge, edge), (edge, edge), *[(0, 0)] * (array.ndim - 2)], "reflect")
    moved = Image.fromarray(wide).rotate(degrees, Image.Resampling.BILINEAR, translate=(pixels, 0))
    return moved.crop((edge, edge, edge + image.width, edge + image.height))


CHANGES: dict[str, Change] = {
    "as it is": lambda image, rng: image,
    "blur, radius 0.5 pixels": lambda image, rng: image.filter(ImageFilter.GaussianBlur(0.5)),
    "blur, radius 1 pixel": lambda image, rng: image.filter(ImageFilter.GaussianBlur(1)),
    "noise of 5 levels": _noise(5),
    "noise of 15 levels": _noise(15),
    "light x 0.8": _light(0.8),
    "light x 1.2": _light(1.2),
    "JPEG quality 50": _jpeg(50),
    "JPEG quality 20": _jpeg(20),
    "turned by 3 degrees": _turned(3),
    "turned by 10 degrees": _turned(10),
    "shifted by 3 %": _shifted(0.03),
    "shifted by 10 %": _shifted(0.1),
}


def robustness(
    images: Images,
    labels: NDArray[np.int64],
    scores_of: Callable[[Images], NDArray[np.float64]],
    point: OperatingPoint,
    *,
    most: int = MOST,
    seed: int = 0,
    prevalence: float | None = None,
) -> dict[str, Card]:
    """Accuracy at the threshold, escapes, false rejects and the share of review under each change.

    Images (N, H, W, C) in the form that the network takes; at most `most` of them, both labels alike. Accuracy and
    review are those of a line with `prevalence`, where it is stated.
    """
    rng = np.random.default_rng(seed)
    chosen = _sample(labels, rng, most)
    weights = shares(labels[chosen], prevalence)
    found = {}
    for name, change in CHANGES.items():
        changed = np.stack([_applied(images[place], change, rng) for place in chosen])
        p, truth = scores_of(changed), labels[chosen] == 1
        called = p >= point.threshold
        review = (p >= point.review_low) & (p <= point.review_high) & (point.review_low < point.review_high)
        found[name] = {
            "images": len(chosen),
            "accuracy": round(float(np.average(called == truth, weights=weights)), 4),
            "escapes": int((truth & ~called).sum()),
            "false_rejects": int((~truth & called).sum()),
            "review_share": round(float(np.average(review, weights=weights)), 4),
        }
    return found


def _sample(labels: NDArray[np.int64], rng: np.random.Generator, most: int) -> NDArray[np.int64]:
    """Places of at most `most` images, half of each label as far as there are so many."""
    each = [rng.permutation(np.flatnonzero(labels == label))[: most // 2] for label in (0, 1)]
    return np.sort(np.concatenate(each))


def _applied(image: NDArray[np.uint8], change: Change, rng: np.random.Generator) -> NDArray[np.uint8]:
    grey = image.shape[2] == 1
    changed = np.asarray(change(Image.fromarray(image[:, :, 0] if grey else image), rng))
    return np.asarray(changed[:, :, None] if grey else changed, np.uint8)
