"""The one path from image bytes to the pixels a network sees, in training, in serving and in thumbnails.

`docs/images.md` declares which images are judged and how each is read; a change here changes scores.
"""

import io
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.contract.image_files import HEAD_BYTES, image_kind
from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.accepted import Limits, check_proportions, corrupt, unsupported
from shared.vision.formats import bmp, frames, jpeg, png, tiff, webp
from shared.vision.formats.jpeg import Pixels
from shared.vision.tones import check_high_bytes, to_eight_bits

_ORIENTATION = 0x0112
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}
_TURNED_ASIDE = (5, 6, 7, 8)
_INSPECT = {"BMP": bmp.inspect, "PNG": png.inspect, "TIFF": tiff.inspect, "WEBP": webp.inspect}
_OTHERS = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\xff\x0a": "a JPEG XL",
    b"P5": "a PGM",
    b"P6": "a PPM",
}
_BRANDS = {b"avif": "an AVIF", b"avis": "an AVIF", b"heic": "an HEIC", b"heix": "an HEIC", b"mif1": "an HEIC"}

_DEFAULT = Limits()

# `max_pixels` is the limit, and it is checked before Pillow sees the image.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode(
    data: bytes | memoryview, spec: Preprocessing, limits: Limits = _DEFAULT, frame: int | None = None
) -> Pixels:
    """Pixels of shape (height, width, channels), read-only, 0 black to 255 white.

    `frame` names one of several images of a file, from 1; without it such a file is refused.
    Raises ItemError with one of the codes that docs/images.md lists. MemoryError passes through.
    """
    pixels = np.ascontiguousarray(_guarded(bytes(data), spec, (spec.width, spec.height), limits, frame))
    pixels.setflags(write=False)
    return pixels.reshape(spec.height, spec.width, spec.channels)


def view(
    data: bytes, spec: Preprocessing, side: int, limits: Limits = _DEFAULT, frame: int | None = None
) -> Image.Image:
    """The image as `decode` reads it, upright and undistorted, at most `side` pixels a side. Raises ItemError."""
    return Image.fromarray(np.ascontiguousarray(_guarded(data, spec, side, limits, frame)))


def _guarded(
    data: bytes, spec: Preprocessing, target: tuple[int, int] | int, limits: Limits, frame: int | None
) -> Pixels:
    """Read the image and turn every exception of a decoder into the item's error."""
    kind = image_kind(data)
    if kind is None:
        raise unsupported(_named(data))
    try:
        if frame is not None:
            data, kind = frames.alone(data, kind, frame, limits)
        return _read(data, kind, spec, target, limits)
    except (ItemError, MemoryError):
        raise
    except (
        UnidentifiedImageError
    ) as error:  # the file is whole as far as we looked, but Pillow has no such layout
        raise unsupported(f"a rare kind of {kind}") from error
    except Exception as error:  # Pillow's decoders raise nearly every built-in error on broken data
        # The library's own words may hold memory addresses and file names, so they are not passed on.
        raise corrupt(f"the {kind} cannot be decoded") from error


def _named(data: bytes) -> str:
    head = data[:HEAD_BYTES]
    name = next((name for start, name in _OTHERS.items() if head.startswith(start)), None)
    if name is None and head[4:8] == b"ftyp":
        name = _BRANDS.get(head[8:12])
    if b"\xff\xd8\xff" in head:
        return "bytes precede the start of the JPEG"
    return f"{name or 'not an'} image; JPEG, PNG, WebP, BMP and TIFF are accepted"


def _read(
    data: bytes, kind: str, spec: Preprocessing, target: tuple[int, int] | int, limits: Limits
) -> Pixels:
    mode = "L" if spec.channels == 1 else "RGB"
    if kind == "JPEG":
        found = jpeg.inspect(data, limits)
        size, turn = (found.layout.width, found.layout.height), jpeg.orientation(found)
        box = _box(size, turn, spec, target)
        scale_for = jpeg.power_of_two if spec.version == 1 else jpeg.least_cover
        pixels = jpeg.read(found, mode, scale_for(found, box))
        if pixels.shape[1::-1] != box:
            pixels = np.asarray(_fitted(Image.fromarray(pixels), box, spec.version))
        return _UPRIGHT[turn](pixels)
    layout = _INSPECT[kind](data, limits)
    with Image.open(io.BytesIO(data), formats=(kind,)) as image:
        # Pillow turns a TIFF by its orientation, and gives its size as it is after that.
        if sorted(image.size) != sorted((layout.width, layout.height)):
            raise corrupt("the header contradicts itself about the size")
        image.load()
        turn = _orientation(image)  # after loading, since a PNG may hold its EXIF data behind the pixels
        box = _box(image.size, turn, spec, target)
        if layout.bits == 16 and layout.channels > 1:
            check_high_bytes(image, spec.full_scale)
        flat = to_eight_bits(image, mode, spec.full_scale, inverted=layout.inverted)
    if kind == "WEBP":
        webp.check_tail(data)
    return _UPRIGHT[turn](np.asarray(_fitted(flat, box, spec.version)))


def _box(
    size: tuple[int, int], turn: int, spec: Preprocessing, target: tuple[int, int] | int
) -> tuple[int, int]:
    """The size to bring the stored image to, before it is turned upright."""
    width, height = size
    aside = turn in _TURNED_ASIDE
    check_proportions(*((height, width) if aside else (width, height)), (spec.width, spec.height))
    if isinstance(target, int):
        return _inside(size, target)
    return (target[1], target[0]) if aside else target


def _inside(size: tuple[int, int], side: int) -> tuple[int, int]:
    shrink = min(1.0, side / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def _fitted(image: Image.Image, box: tuple[int, int], version: int) -> Image.Image:
    """The image at the size of `box`: by areas where it shrinks, else by straight lines between pixels."""
    if image.size == box:
        return image
    shrinks = image.width >= box[0] and image.height >= box[1]
    by_areas = version > 1 and shrinks
    return image.resize(box, Image.Resampling.BOX if by_areas else Image.Resampling.BILINEAR)


def _orientation(image: Image.Image) -> int:
    # getexif() costs more than a small image's decode: asked only where there is something to read.
    # Pillow turns TIFF images itself while loading.
    if image.format == "TIFF" or not (image.info.keys() & {"exif", "xmp", "XML:com.adobe.xmp"}):
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow's parser raises nearly every built-in error on broken EXIF data
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
