"""Bounds that hold for every format, and the faults that an installation may tolerate.

`docs/images.md` declares for each format which images are judged; the modules in `formats` enforce it.
"""

from collections.abc import Collection
from dataclasses import dataclass

from shared.errors import ItemError
from shared.settings import Settings

MAX_PIXELS = 50_000_000
MIN_SIDE = 16
MAX_STRETCH = 20  # between the proportions of the image and those of the network's input
MAX_DECODED_BYTES = 512 * 2**20
# A later image in one file passes as a preview up to this share of the first image's pixels.
PREVIEW_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one image. `tolerated` holds names from `shared.settings.IMAGE_FAULTS`."""

    max_pixels: int = MAX_PIXELS
    tolerated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Layout:
    """Facts that a file declares before any pixel is decoded.

    `bits` is the width of one sample; `channels` counts stored samples a pixel. `inverted` says that 0 is white
    and that Pillow leaves the inversion to the caller.
    """

    width: int
    height: int
    channels: int
    bits: int = 8
    inverted: bool = False


def limits_of(settings: Settings) -> Limits:
    """The bounds that an installation sets."""
    names = (name.strip() for name in settings.tolerated_image_faults.split(","))
    return Limits(settings.max_pixels, frozenset(filter(None, names)))


def check_size(layout: Layout, limits: Limits, *, bytes_per_pixel: float) -> None:
    """Refuse sizes that cannot be judged or cost too much. `bytes_per_pixel` is the decoder's peak memory.

    Raises ItemError: `too_small`, `too_many_pixels` or `too_costly`.
    """
    width, height = layout.width, layout.height
    if min(width, height) < MIN_SIDE:
        raise ItemError("too_small", f"{width} x {height} pixels, at least {MIN_SIDE} a side are needed")
    if width * height > limits.max_pixels:
        raise ItemError(
            "too_many_pixels", f"{width} x {height} pixels, at most {limits.max_pixels} are allowed"
        )
    if width * height * bytes_per_pixel > MAX_DECODED_BYTES:
        most = int(MAX_DECODED_BYTES / bytes_per_pixel / 1e6)
        raise ItemError(
            "too_costly",
            f"{width} x {height} pixels of this kind of image, at most {most} million are allowed",
        )


def check_proportions(width: int, height: int, target: tuple[int, int]) -> None:
    """Refuse an image whose proportions the network's input would distort beyond recognition."""
    stretch = (width * target[1]) / (height * target[0])
    if not 1 / MAX_STRETCH <= stretch <= MAX_STRETCH:
        raise ItemError(
            "unsupported_media",
            f"{width} x {height} pixels: the proportions differ more than {MAX_STRETCH} times from those of "
            f"the model's input, {target[0]} x {target[1]}",
        )


def check_frames(sizes: Collection[tuple[int, int]]) -> None:
    """Refuse several images in one file; the sizes are (width, height) of each. Previews pass."""
    (width, height), *others = sizes
    if any(w * h > PREVIEW_SHARE * width * height for w, h in others):
        raise ItemError("multiple_frames", f"{len(sizes)} images in one file, and only one can be judged")


def corrupt(detail: str) -> ItemError:
    """The error for an image whose own evidence says that it is damaged."""
    return ItemError("corrupt_image", detail)


def unsupported(detail: str) -> ItemError:
    """The error for an image that is not among those declared."""
    return ItemError("unsupported_media", detail)
