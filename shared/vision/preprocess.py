"""The one path from picture bytes to the pixels a network sees, in training and in serving.

Declared, because each of these changes scores:
- JPEG, PNG, WebP, BMP and TIFF by their first bytes; of several frames the first one.
- JPEG is decoded at 1/2, 1/4 or 1/8 scale inside its own transform where the result still covers the target.
- The EXIF orientation is applied; the picture is then stretched to the target size (bilinear, antialiased).
- Transparent pixels are laid over white. CMYK and palettes become RGB; grey is ITU-R 601 luma.
- More than 8 bits: divided by the declared `full_scale`; refused where none is declared or a value is above.
- A truncated picture is refused whole. Pillow's LOAD_TRUNCATED_IMAGES stays off.
"""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.contract.image_files import image_kind
from shared.errors import ItemError
from shared.registry.artifact import Preprocessing

MAX_PIXELS = 50_000_000
_ORIENTATION = 0x0112
_MOVES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED_ASIDE = (5, 6, 7, 8)

# `max_pixels` below is the limit, and it is checked before any pixel is decoded; Pillow's own hard limit
# (an error from 179 megapixels on) stays in force above it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode(
    data: bytes | memoryview, spec: Preprocessing, *, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Pixels of shape (height, width, channels), read-only, 0 black to 255 white.

    Raises ItemError: `unsupported_media`, `too_many_pixels` or `corrupt_image`. MemoryError passes through.
    """
    kind = media_kind(data)
    if kind is None:
        raise ItemError("unsupported_media", "not a JPEG, PNG, WebP, BMP or TIFF picture")
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise ItemError("too_many_pixels", f"{width} x {height} pixels, at most {max_pixels} allowed")
            return _pixels(picture, spec)
    except (ItemError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ItemError("too_many_pixels", f"more than {max_pixels} pixels") from error
    except Exception as error:  # Pillow's decoders raise nearly every built-in error on broken data
        raise ItemError("corrupt_image", f"{kind} picture cannot be decoded: {error}") from error


def media_kind(data: bytes | memoryview) -> str | None:
    """Pillow's name of the format that the first bytes announce, or None for anything not accepted."""
    return image_kind(data)


def _pixels(picture: Image.Image, spec: Preprocessing) -> NDArray[np.uint8]:
    mode = "L" if spec.channels == 1 else "RGB"
    orientation = _orientation(picture)
    target = (spec.width, spec.height)
    if orientation in _TURNED_ASIDE:
        target = (spec.height, spec.width)
    _refuse_narrowing(picture, spec)
    picture.draft(mode, target)  # JPEG only; a no-op for the others
    image = _flattened(picture, mode, spec)
    if image.size != target:
        image = image.resize(target, Image.Resampling.BILINEAR)
    if orientation in _MOVES:
        image = image.transpose(_MOVES[orientation])
    return np.frombuffer(image.tobytes(), np.uint8).reshape(spec.height, spec.width, spec.channels)


def _orientation(picture: Image.Image) -> int:
    # getexif() costs more than a small picture's decode: asked only where there is something to read.
    # Pillow turns TIFF pictures itself while loading.
    if picture.format == "TIFF" or not (picture.info.keys() & {"exif", "xmp", "XML:com.adobe.xmp"}):
        return 1
    return int(picture.getexif().get(_ORIENTATION, 1))


def _refuse_narrowing(picture: Image.Image, spec: Preprocessing) -> None:
    """Pillow reads 16-bit colour by its high byte, which is only right where full scale is 65535."""
    tiles = getattr(picture, "tile", None)
    if not tiles or picture.mode.startswith(("I", "F")):
        return
    arguments = tiles[0][3]
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    if isinstance(raw, str) and ("16" in raw.partition(";")[2]) and raw[:3] in ("RGB", "LA;", "CMY"):
        if spec.full_scale == 65535:
            return
        raise ItemError("unsupported_media", "16-bit colour, and the model declares no full scale of 65535")


def _flattened(picture: Image.Image, mode: str, spec: Preprocessing) -> Image.Image:
    if picture.mode == mode:
        return picture
    if picture.mode.startswith(("I", "F")):
        return _scaled(picture, spec.full_scale).convert(mode)
    if picture.has_transparency_data:
        colour = picture.convert("RGBA")
        white = Image.new("RGBA", colour.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, colour).convert(mode)
    if picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")
    return picture.convert(mode)


def _scaled(picture: Image.Image, full_scale: int | None) -> Image.Image:
    if full_scale is None:
        raise ItemError(
            "unsupported_media", f"more than 8 bits ({picture.mode}), and the model declares no full scale"
        )
    values = np.asarray(picture).astype(np.float32)
    lowest, highest = float(values.min()), float(values.max())
    if not (lowest >= 0 and highest <= full_scale):  # also refuses NaN
        raise ItemError(
            "unsupported_media", f"values {lowest:g} to {highest:g} lie outside 0 to {full_scale}"
        )
    return Image.fromarray(np.rint(values * (255.0 / full_scale)).astype(np.uint8))
