"""JPEG: header rules, strict decoding at reduced scale, and the orientation.

libjpeg repairs damaged data with grey or shifted blocks and only warns; `simplejpeg` raises on the first warning.
Its pixels equal Pillow's to the bit, since both are libjpeg-turbo (tests/unit/shared/vision/test_jpeg.py).
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import simplejpeg
from PIL import Image

from shared.errors import ItemError
from shared.vision.accepted import Layout, Limits, check_frames, check_size, corrupt, unsupported

START, END = b"\xff\xd8", b"\xff\xd9"
MAX_SCANS = 64
MAX_SEGMENTS = 10_000
MAX_EXIF_BYTES = 2**20
# Each scan of a progressive image visits every block: 0.6 to 0.9 ns a pixel and scan were measured for grey.
MAX_SCANNED_PIXELS = 1_000_000_000
_PROGRESSIVE = 0xC2
_HUFFMAN_DCT = (0xC0, 0xC1, _PROGRESSIVE)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}
_SCAN = 0xDA
_ORIENTATION = 0x0112
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')

# The first words of libjpeg's warnings and the sentence that a person reads.
_WORDS = {
    "Premature end of JPEG file": "the file ends before the image does",
    "Corrupt JPEG data: premature end": "the image data end before the image does",
    "Corrupt JPEG data: bad Huffman": "the image data hold a code that does not exist",
    "Corrupt JPEG data: found marker": "a restart marker is missing or out of order",
}


@dataclass(frozen=True, slots=True)
class Jpeg:
    """One JPEG, read up to its first scan."""

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
    kind, frame, scan, exif, xmp = _header(data)
    if kind not in _HUFFMAN_DCT:
        raise unsupported("a JPEG of a rare kind: neither baseline nor progressive with Huffman codes")
    layout = _layout(frame)
    if layout.bits != 8:
        raise unsupported(f"{layout.bits} bits a sample; a JPEG may have 8")
    if layout.channels not in (1, 3, 4):
        raise unsupported(f"{layout.channels} colour components; a JPEG may have 1, 3 or 4")
    check_size(layout, limits, bytes_per_pixel=10 if layout.channels == 4 else 8)
    if kind == _PROGRESSIVE:
        _check_scans(data, scan, layout)
    # The start of an image cannot occur in coded data. Searching backwards is the fastest of Python's searches.
    if data.rfind(b"\xff\xd8\xff") > scan:
        check_frames([(layout.width, layout.height), *_later_images(data, scan)])
    if "jpeg_missing_end" in limits.tolerated and END not in data[scan:]:
        data += END  # the strict decoder then tells whether the image data are whole
    return Jpeg(data, layout, exif, xmp, "jpeg_bytes_before_end" in limits.tolerated)


def _layout(frame: bytes) -> Layout:
    return Layout(int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3]), frame[5], bits=frame[0])


def _header(data: bytes) -> tuple[int, bytes, int, bytes, bytes]:
    """The frame's marker code and body, the place of the first scan, the EXIF data and the XMP data."""
    exif, xmp, frame, scan, kind = b"", b"", b"", 0, 0
    for code, first, after in _segments(data):
        if code == 0xE1:
            body = data[first:after]
            if body.startswith(b"Exif\0\0") and len(exif) < MAX_EXIF_BYTES:
                exif += body[6:] if exif else body
            elif body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                xmp = body
        elif code in _FRAMES:
            frame, kind = data[first:after], code
        elif code == _SCAN:
            scan = first
    if not scan or len(frame) < 6:
        raise corrupt("the JPEG ends before its image data begin")
    return kind, frame, scan, exif, xmp


def read(jpeg: Jpeg, mode: str, target: tuple[int, int]) -> Image.Image:
    """The decoded image in `mode` (L or RGB), at 1/2, 1/4 or 1/8 scale where that still covers `target`.

    Raises ItemError `corrupt_image` where the data deny their integrity.
    """
    width, height = jpeg.layout.width, jpeg.layout.height
    smallest = min(width // target[0], height // target[1])
    scale = next(s for s in (8, 4, 2, 1) if smallest >= s or s == 1)
    if jpeg.layout.channels == 4:
        _strict(jpeg, "CMYK", 8)
        with Image.open(io.BytesIO(jpeg.data), formats=("JPEG",)) as image:
            image.draft(mode, target)
            return image.convert("RGB").convert(mode)
    pixels = _strict(jpeg, "GRAY" if mode == "L" else "RGB", scale)
    return Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels)


def orientation(jpeg: Jpeg) -> int:
    """The EXIF orientation, else the XMP one, 1 to 8; an unusable one counts as 1."""
    value: Any = None
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
    kind, frame, scan, _, _ = _header(data)
    layout = _layout(frame)
    if layout.width * layout.height > most_pixels:
        raise corrupt("a part of the image declares more pixels than it has room for")
    if kind == _PROGRESSIVE:
        _check_scans(data, scan, layout)
    _decoded(data, "GRAY", 0, 0, 8)


def _strict(jpeg: Jpeg, colours: str, scale: int) -> Any:
    width, height = -(-jpeg.layout.width // scale), -(-jpeg.layout.height // scale)
    return _decoded(jpeg.data, colours, width, height, scale, jpeg.bytes_before_end)


def _decoded(
    data: bytes, colours: str, width: int, height: int, scale: int, bytes_before_end: bool = False
) -> Any:
    try:
        return simplejpeg.decode_jpeg(
            data, colours, min_width=width, min_height=height, min_factor=scale, strict=True
        )
    except ValueError as error:
        said = str(error)
    # libjpeg keeps its first warning: where that is about the end marker, it had nothing against the data.
    if bytes_before_end and _BEFORE_END.match(said):
        return simplejpeg.decode_jpeg(
            data, colours, min_width=width, min_height=height, min_factor=scale, strict=False
        )
    if "subsampling" in said:
        raise unsupported("a JPEG with a rare kind of colour subsampling")
    for start, words in _WORDS.items():
        if said.startswith(start):
            raise corrupt(words)
    raise corrupt("bytes are left over between the parts of the image" if "extraneous" in said else _VAGUE)


_VAGUE = "the image data contradict the JPEG's own header"
_BEFORE_END = re.compile(r"Corrupt JPEG data: \d+ extraneous bytes before marker 0xd9")


def _segments(data: bytes, place: int = 2) -> Iterator[tuple[int, int, int]]:
    """Marker code, first byte and end of each segment's body, up to the first scan."""
    size = len(data)
    for _ in range(MAX_SEGMENTS):
        if place + 4 > size:
            return
        if data[place] != 0xFF:
            place = data.find(b"\xff", place)  # libjpeg skips them with a warning, which the decoder raises
            if place < 0:
                return
            continue
        code = data[place + 1]
        if code == 0xFF:
            place += 1
        elif code in _ALONE:
            place += 2
        else:
            after = place + 2 + int.from_bytes(data[place + 2 : place + 4])
            yield code, place + 4, after
            if code in (_SCAN, 0xD9) or after < place + 4:
                return
            place = after
    raise ItemError("too_costly", f"more than {MAX_SEGMENTS} segments")


def _check_scans(data: bytes, scan: int, layout: Layout) -> None:
    """Bound the work of a progressive image before any of it is done."""
    scans = 1 + data.count(b"\xff\xda", scan)
    if scans > MAX_SCANS or (scans > 20 and scans * layout.width * layout.height > MAX_SCANNED_PIXELS):
        raise ItemError("too_costly", f"{scans} scans of {layout.width} x {layout.height} pixels")


def _later_images(data: bytes, scan: int) -> Iterator[tuple[int, int]]:
    """Sizes of the JPEGs that follow the first one's end, such as the second image of a stereo camera."""
    place = data.find(END, scan)
    for _ in range(MAX_SEGMENTS):
        start = data.find(b"\xff\xd8\xff", place) if place >= 0 else -1
        if start < 0:
            return
        place = start + 2
        for code, first, after in _segments(data, start + 2):
            if code in _FRAMES and after - first >= 6 and after <= len(data):
                yield int.from_bytes(data[first + 3 : first + 5]), int.from_bytes(data[first + 1 : first + 3])
                place = max(place, data.find(END, after))
                break
    raise ItemError("too_costly", f"more than {MAX_SEGMENTS} images")
