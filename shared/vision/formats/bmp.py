"""BMP: header rules and the length of the pixel data; the format carries no checksum."""

from shared.vision.accepted import Layout, Limits, check_size, corrupt, unsupported

_PLAIN, _FIELDS, _ALPHA_FIELDS = 0, 3, 6
_WITH_PROFILE, _PADDING = 124, 16
_BITS = {1, 4, 8, 16, 24, 32}


def inspect(data: bytes, limits: Limits) -> Layout:
    """Raises ItemError where the file is too short for its pixels or of a kind that is not accepted."""
    if len(data) < 54:
        raise corrupt("the BMP ends inside its header")
    offset, header = int.from_bytes(data[10:14], "little"), int.from_bytes(data[14:18], "little")
    if header < 40:
        raise unsupported("a BMP of the OS/2 kind")
    width = int.from_bytes(data[18:22], "little", signed=True)
    height = abs(int.from_bytes(data[22:26], "little", signed=True))
    planes, bits = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
    compression = int.from_bytes(data[30:34], "little")
    if compression not in (_PLAIN, _FIELDS, _ALPHA_FIELDS):
        raise unsupported("a compressed BMP")
    if planes != 1 or bits not in _BITS:
        raise unsupported(f"a BMP of {bits} bits a pixel in {planes} planes")
    layout = Layout(width, height, 4 if bits == 32 else 1 if bits <= 8 else 3)
    check_size(layout, limits, bytes_per_pixel=10)
    line = -(-width * bits // 32) * 4
    ends = offset + line * height
    if offset < 14 + header or ends > len(data):
        raise corrupt("the BMP ends before its last line of pixels")
    # A colour profile may follow, and a few bytes of padding. A whole line more contradicts the header.
    if header < _WITH_PROFILE and len(data) - ends >= max(line, _PADDING):
        raise corrupt("the BMP has more lines than its header declares")
    return layout
