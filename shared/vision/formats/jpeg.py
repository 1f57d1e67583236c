"""JPEG: header rules, strict decoding at reduced scale, and the orientation.

libjpeg repairs damaged data with grey or shifted blocks and only warns; `simplejpeg` raises on the first warning.
Its pixels equal Pillow's to the bit, since both are libjpeg-turbo (tests/unit/shared/vision/test_jpeg.py).
"""

import io
import re
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from shared.vision.accepted import Layout, Limits, check_frames, check_size, corrupt, unsupported
from shared.vision.formats.jpeg_markers import END, HUFFMAN_DCT, check_scans, later_images, read_header

Pixels = NDArray[np.uint8]
START = b"\xff\xd8"
FAST = (1, 2, 4, 8)  # eighths that libjpeg-turbo computes with vector instructions
_ORIENTATION = 0x0112
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')

_VAGUE = "the image data contradict the JPEG's own header"
_BEFORE_END = re.compile(r"Corrupt JPEG data: \d+ extraneous bytes before marker 0xd9")
# The first words of libjpeg's warnings and the sentence that a person reads.
_WORDS = {
    "Premature end of JPEG file": "the file ends before the image does",
    "Corrupt JPEG data: premature end": "the image data end before the image does",
    "Corrupt JPEG data: bad Huffman": "the image data hold a code that does not exist",
    "Corrupt JPEG data: found marker": "a restart marker is missing or out of order",
}


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG, read up to its first scan."""

    data: bytes
    layout: Layout
    exif: bytes
    xmp: bytes
    bytes_before_end: bool
    """Whether bytes between the image data and the end marker are tolerated."""


def inspect(data: bytes, limits: Limits) -> Jpeg:
    """Read the header and refuse every JPEG that is not accepted. Raises ItemError."""
    if not data.startswith(START):
        data = data[data.index(START) :]
    header = read_header(data)
    layout = header.layout
    if header.kind not in HUFFMAN_DCT:
        raise unsupported("a JPEG of a rare kind: neither baseline nor progressive with Huffman codes")
    if layout.bits != 8:
        raise unsupported(f"{layout.bits} bits a sample; a JPEG may have 8")
    if layout.channels not in (1, 3, 4):
        raise unsupported(f"{layout.channels} colour components; a JPEG may have 1, 3 or 4")
    check_size(layout, limits, bytes_per_pixel=10 if layout.channels == 4 else 8)
    check_scans(data, header)
    # The start of an image cannot occur in coded data. Searching backwards is the fastest of Python's searches.
    if data.rfind(b"\xff\xd8\xff") > header.scan:
        check_frames([(layout.width, layout.height), *later_images(data, header.scan)])
    if "jpeg_missing_end" in limits.tolerated and END not in data[header.scan :]:
        data += END  # the strict decoder then tells whether the image data are whole
    return Jpeg(data, layout, header.exif, header.xmp, "jpeg_bytes_before_end" in limits.tolerated)


def power_of_two(jpeg: Jpeg, target: tuple[int, int]) -> int:
    """The scale of preprocessing 1, in eighths: halved while the result surely covers `target`."""
    smallest = min(jpeg.layout.width // target[0], jpeg.layout.height // target[1])
    return 8 // next(s for s in (8, 4, 2, 1) if smallest >= s or s == 1)


def least_cover(jpeg: Jpeg, target: tuple[int, int]) -> int:
    """The scale of preprocessing 2, in eighths: the smallest fast one whose result covers `target`."""
    for eighths in FAST:
        width, height = scaled((jpeg.layout.width, jpeg.layout.height), eighths)
        if width >= target[0] and height >= target[1]:
            return eighths
    return 8


def scaled(size: tuple[int, int], eighths: int) -> tuple[int, int]:
    """Width and height after the scaling; libjpeg rounds up."""
    return -(-size[0] * eighths // 8), -(-size[1] * eighths // 8)


def read(jpeg: Jpeg, mode: str, eighths: int) -> Pixels:
    """Pixels (h, w) for mode L or (h, w, 3) for RGB, decoded at `eighths` of the stored size.

    Raises ItemError `corrupt_image` where the data deny their integrity.
    """
    size = scaled((jpeg.layout.width, jpeg.layout.height), eighths)
    if jpeg.layout.channels == 4:
        _decoded(jpeg.data, "CMYK", 0, 0, 8, jpeg.bytes_before_end)
        with Image.open(io.BytesIO(jpeg.data), formats=("JPEG",)) as image:
            image.draft(mode, (jpeg.layout.width * eighths // 8, jpeg.layout.height * eighths // 8))
            return np.asarray(image.convert("RGB").convert(mode))
    pixels = _decoded(jpeg.data, "GRAY" if mode == "L" else "RGB", *size, 8 / eighths, jpeg.bytes_before_end)
    return pixels[:, :, 0] if mode == "L" else pixels


def orientation(jpeg: Jpeg) -> int:
    """The EXIF orientation, else the XMP one, 1 to 8; an unusable one counts as 1."""
    value: object = None
    if jpeg.exif:
        try:
            exif = Image.Exif()
            exif.load(jpeg.exif)
            value = exif.get(_ORIENTATION)
        except Exception:  # Pillow's parser raises nearly every built-in error on broken EXIF data
            value = None
    if value is None and (found := _XMP_ORIENTATION.search(jpeg.xmp)):
        value = int(found[1])
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def verify(data: bytes, most_pixels: int) -> None:
    """Decode a JPEG stream inside another format at the smallest scale. Raises ItemError."""
    header = read_header(data)
    if header.layout.width * header.layout.height > most_pixels:
        raise corrupt("a part of the image declares more pixels than it has room for")
    check_scans(data, header)
    _decoded(data, "GRAY", 0, 0, 8)


def _decoded(
    data: bytes, colours: str, width: int, height: int, shrink: float, bytes_before_end: bool = False
) -> Pixels:
    try:
        return _pixels(data, colours, width, height, shrink, strict=True)
    except ValueError as error:
        said = str(error)
    # libjpeg keeps its first warning: where that is about the end marker, it had nothing against the data.
    if bytes_before_end and _BEFORE_END.match(said):
        return _pixels(data, colours, width, height, shrink, strict=False)
    if "subsampling" in said:
        raise unsupported("a JPEG with a rare kind of colour subsampling")
    for start, words in _WORDS.items():
        if said.startswith(start):
            raise corrupt(words)
    raise corrupt("bytes are left over between the parts of the image" if "extraneous" in said else _VAGUE)


def _pixels(data: bytes, colours: str, width: int, height: int, shrink: float, *, strict: bool) -> Pixels:
    pixels: Pixels = simplejpeg.decode_jpeg(
        data, colours, min_width=width, min_height=height, min_factor=shrink, strict=strict
    )
    return pixels
