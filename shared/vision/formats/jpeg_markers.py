"""The markers of a JPEG: its header, its scans, and images behind its end."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import ItemError
from shared.vision.accepted import Layout, corrupt

END = b"\xff\xd9"
PROGRESSIVE = 0xC2
HUFFMAN_DCT = (0xC0, 0xC1, PROGRESSIVE)
MAX_SCANS = 64
MAX_SEGMENTS = 10_000
MAX_EXIF_BYTES = 2**20
# Each scan of a progressive image visits every block: 0.6 to 0.9 ns a pixel and scan were measured for grey.
MAX_SCANNED_PIXELS = 1_000_000_000
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}
_SCAN = 0xDA
_COEFFICIENTS = 64


@dataclass(frozen=True, slots=True)
class Header:
    """A JPEG up to its first scan. `kind` is the marker code of the frame; `scan` is where the scan's header begins."""

    kind: int
    layout: Layout
    components: bytes
    scan: int
    exif: bytes
    xmp: bytes


def read_header(data: bytes) -> Header:
    """Raises ItemError where there is no frame or no scan, or too many segments precede them."""
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
    layout = Layout(int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3]), frame[5], bits=frame[0])
    return Header(kind, layout, frame[6 : 6 + 3 * layout.channels : 3], scan, exif, xmp)


def check_scans(data: bytes, header: Header) -> None:
    """Bound the work of a JPEG in several scans, and refuse it where scans are missing.

    libjpeg decodes such an image without a warning: blurred, or without its colour.
    """
    if header.kind != PROGRESSIVE and data[header.scan] == header.layout.channels:
        return
    end = data.find(END, header.scan)
    end = len(data) if end < 0 else end
    place, scans = header.scan, 0
    # The bits of each coefficient that are still to come; None before the first scan that has the coefficient.
    missing: dict[int, list[int | None]] = {name: [None] * _COEFFICIENTS for name in header.components}
    while place >= 4:
        scans += 1
        count = data[place]
        first, last, bits = data[place + 1 + 2 * count : place + 4 + 2 * count].ljust(3, b"\0")
        if header.kind != PROGRESSIVE:
            first, last, bits = 0, _COEFFICIENTS - 1, 0
        for name in data[place + 1 : place + 1 + 2 * count : 2]:
            if name in missing:
                missing[name][first : last + 1] = [bits & 15] * (min(last, _COEFFICIENTS - 1) + 1 - first)
        if scans > MAX_SCANS:
            raise ItemError("too_costly", f"more than {MAX_SCANS} scans")
        place = data.find(b"\xff\xda", place, end) + 4
    pixels = header.layout.width * header.layout.height
    if scans > 20 and scans * pixels > MAX_SCANNED_PIXELS:
        raise ItemError(
            "too_costly", f"{scans} scans of {header.layout.width} x {header.layout.height} pixels"
        )
    if any(bits != 0 for coefficients in missing.values() for bits in coefficients):
        raise corrupt("the JPEG ends before its last scan")


def later_images(data: bytes, scan: int) -> Iterator[tuple[int, int]]:
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
