"""From any accepted kind of pixels to 8 bits of grey or colour: transparency, palettes, CMYK and high bit depths."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from shared.vision.accepted import unsupported

# Data whose brightest value stays below this share of the full scale were stored with fewer bits than the model
# declares: 12 bits under a full scale of 65535 reach 1/16.
LEAST_PEAK = 1 / 16
# A part that is cut out of its background fills at least this share of the image with opaque pixels.
LEAST_OPAQUE = 0.1
NO_FULL_SCALE = "the model declares no full scale"  # said where a declaration would help
_OPAQUE = 240
_STRIP_BYTES = 2**22


def to_eight_bits(image: Image.Image, mode: str, full_scale: int | None, *, inverted: bool) -> Image.Image:
    """The image in `mode` (L or RGB). `inverted` says that 0 is white. Raises ItemError `unsupported_media`."""
    if image.mode == mode:
        return image
    if image.mode.startswith(("I", "F")):
        return _scaled(image, full_scale, inverted).convert(mode)
    if image.has_transparency_data:
        return _over_white(image, mode)
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return image.convert(mode)


def check_high_bytes(image: Image.Image, full_scale: int | None) -> None:
    """Pillow reads 16-bit colour by its high bytes, which is right for a full scale of 65535 alone.

    Raises ItemError `unsupported_media`.
    """
    if full_scale != 65535:
        raise unsupported(f"16-bit colour, and {NO_FULL_SCALE} of 65535")
    colours = image.convert("RGB") if image.mode != "RGB" else image
    if max(high for _, high in colours.getextrema()) < 256 * LEAST_PEAK:  # type: ignore[misc] # three pairs
        raise unsupported("16-bit colour that fills 12 bits or fewer, under a full scale of 65535")


def _over_white(image: Image.Image, mode: str) -> Image.Image:
    """Lay transparent pixels over white, strip by strip to save memory.

    Alpha that hides the whole image is a slip of its writer: such an image is taken as opaque. A writer that takes
    1 for opaque instead of 255 makes the same slip. Alpha that hides or pales nearly the whole image is refused, since
    a flaw would pale with the rest. Raises ItemError `unsupported_media`.
    """
    rows = max(1, _STRIP_BYTES // (4 * image.width))
    result = Image.new(mode, image.size)
    highest, opaque = 0, 0
    for _, strip in _strips(image, rows):
        alpha = np.asarray(strip.getchannel("A"))
        highest, opaque = max(highest, int(alpha.max())), opaque + int((alpha >= _OPAQUE).sum())
    hidden = highest < 256 * LEAST_PEAK
    if not hidden and opaque < LEAST_OPAQUE * image.width * image.height:
        raise unsupported(f"transparent over more than {1 - LEAST_OPAQUE:.0%} of its pixels")
    for top, strip in _strips(image, rows):
        if hidden:
            strip.putalpha(255)
        white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
        result.paste(Image.alpha_composite(white, strip).convert(mode), (0, top))
    return result


def _strips(image: Image.Image, rows: int) -> Iterator[tuple[int, Image.Image]]:
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        yield top, image.crop(box).convert("RGBA")


def _scaled(image: Image.Image, full_scale: int | None, inverted: bool) -> Image.Image:
    if full_scale is None:
        raise unsupported(f"more than 8 bits ({image.mode}), and {NO_FULL_SCALE}")
    stored = np.asarray(image)
    lowest, highest = float(stored.min()), float(stored.max())
    if not (lowest >= 0 and highest <= full_scale):  # also refuses NaN
        raise unsupported(f"values {lowest:g} to {highest:g} lie outside 0 to {full_scale}")
    if highest <= full_scale * LEAST_PEAK:
        raise unsupported(
            f"no value is above {highest:g} under a full scale of {full_scale}: black, or stored with fewer bits"
        )
    result = np.empty(stored.shape, np.uint8)
    rows = max(1, _STRIP_BYTES // (4 * image.width))
    for top in range(
        0, image.height, rows
    ):  # in strips, since float32 takes four times the memory of the result
        values = stored[top : top + rows].astype(np.float32)
        if inverted:
            values = full_scale - values
        result[top : top + rows] = np.rint(values * (255.0 / full_scale))
    return Image.fromarray(result)
