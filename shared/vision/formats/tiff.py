"""TIFF: an allow-list of layouts, and the integrity evidence that each compression has.

Pillow hands TIFFs to libtiff, which reports damage on stderr only and often goes on. The strips are therefore
checked here: their places and lengths, and their contents where the compression can be verified (strips.py).
"""

from collections.abc import Mapping

from shared.errors import ItemError
from shared.vision.accepted import Layout, Limits, check_size, corrupt, unsupported
from shared.vision.formats import strips
from shared.vision.formats.directory import Tag, read_directory

MAX_STRIPS = 100_000
MAX_TILE_PIXELS = 2**22  # 2048 x 2048: larger than writers use, small enough for the decoder's buffer
_COMPRESSIONS = {
    1: "none", 5: "LZW", 7: "JPEG", 8: "Deflate", 32946: "Deflate", 32773: "PackBits", 50000: "Zstandard",
}  # fmt: skip
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {
    _WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3,
}  # fmt: skip
_NOT_THE_IMAGE = 0b101  # bits of the tag KIND: a reduced version, a mask
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_FORMATS = {_SIGNED: "signed", _FLOAT: "floating-point"}
# Bits that each way to store colour may have.
_UNSIGNED_BITS = {
    _WHITE_IS_ZERO: {1, 2, 4, 8, 16},
    _BLACK_IS_ZERO: {1, 2, 4, 8, 12, 16, 32},
    _RGB: {8, 16},
    _PALETTE: {1, 2, 4, 8},
    _CMYK: {8},
    _YCBCR: {8},
    _LAB: {8},
}


def inspect(data: bytes, limits: Limits) -> Layout:
    """Raises ItemError where the TIFF is damaged, costs too much, or is not among the accepted layouts."""
    if data.startswith(b"MM\0+"):
        raise unsupported("a big-endian BigTIFF")
    tags, following = read_directory(data)
    width, height = tags.get(Tag.WIDTH, (0,))[0], tags.get(Tag.HEIGHT, (0,))[0]
    if not width or not height:
        raise corrupt("the TIFF has no width or height")
    colour = tags.get(Tag.PHOTOMETRIC, (_WHITE_IS_ZERO,))[0]
    extra = tags.get(Tag.EXTRA_SAMPLES, ())
    samples = tags.get(Tag.SAMPLES, (1,))[0]
    bits = tags.get(Tag.BITS, (1,))
    if following:
        if following > len(data):
            raise corrupt("the TIFF ends before its second page")
        raise ItemError("multiple_frames", "more than one page, and only one can be judged")
    if tags.get(Tag.KIND, (0,))[0] & _NOT_THE_IMAGE or Tag.INNER_IMAGES in tags:
        raise ItemError(
            "multiple_frames", "a preview or a mask of another image in the file, or a raw photograph"
        )
    layout = Layout(width, height, samples, bits[0], inverted=colour == _WHITE_IS_ZERO and bits[0] == 16)
    _check_samples(tags, colour, bits, samples, extra)
    check_size(layout, limits, bytes_per_pixel=_bytes_per_pixel(layout))
    compression = tags.get(Tag.COMPRESSION, (1,))[0]
    if data.startswith(b"MM") and layout.bits == 32 and compression != 1:
        raise unsupported("32 bits a sample, big-endian and compressed")  # Pillow swaps no bytes here
    if compression not in _COMPRESSIONS:
        raise unsupported(f"a TIFF of compression {compression}")
    if colour == _YCBCR and compression != 7:
        raise unsupported("YCbCr samples that are not compressed as JPEG")
    if compression != 1 and layout.bits == 12:
        raise unsupported("12 bits a sample, compressed")
    _check_strips(data, tags, layout, _COMPRESSIONS[compression])
    return layout


def _bytes_per_pixel(layout: Layout) -> float:
    return 6 + layout.channels * layout.bits / 8


def _check_samples(
    tags: Mapping[int, tuple[int, ...]],
    colour: int,
    bits: tuple[int, ...],
    samples: int,
    extra: tuple[int, ...],
) -> None:
    """The allow-list: colour space, sample format, bits, extra samples and planes."""
    if colour not in _COLOURS:
        raise unsupported(f"a TIFF of colour space {colour}")
    if len(set(bits)) != 1 or (len(bits) not in (1, samples)):
        raise unsupported("samples of different widths")
    form = tags.get(Tag.SAMPLE_FORMAT, (_UNSIGNED,))
    if set(form) == {_FLOAT} and colour == _BLACK_IS_ZERO and bits[0] == 32:
        pass
    elif set(form) != {_UNSIGNED}:
        raise unsupported(f"{_FORMATS.get(form[0], 'undefined')} samples of {bits[0]} bits")
    elif bits[0] not in _UNSIGNED_BITS[colour]:
        raise unsupported(f"{bits[0]} bits a sample")
    spare = samples - _COLOURS[colour]
    # Four samples of RGB without a word on the fourth are RGBA, as Pillow and libtiff read them.
    if spare < 0 or spare > 1 or (spare and bits[0] not in (8, 16)) or any(kind > 2 for kind in extra):
        raise unsupported(f"{samples} samples a pixel")
    if spare and bits[0] == 16 and colour != _RGB:
        raise unsupported("16 bits a sample and an extra sample")
    planes = tags.get(Tag.PLANES, (1,))[0]
    if planes not in (1, 2) or (planes == 2 and samples > 1 and (bits[0] != 8 or colour != _RGB)):
        raise unsupported(f"samples of {bits[0]} bits in separate planes")
    order = tags.get(Tag.FILL_ORDER, (1,))[0]
    if order not in (1, 2) or (order == 2 and bits[0] > 8):
        raise unsupported("an unusual order of bits")


def _check_strips(data: bytes, tags: Mapping[int, tuple[int, ...]], layout: Layout, compression: str) -> None:
    planes = layout.channels if tags.get(Tag.PLANES, (1,))[0] == 2 else 1
    row_samples = layout.channels // planes
    if Tag.TILE_OFFSETS in tags:
        wide, high = tags.get(Tag.TILE_WIDTH, (0,))[0], tags.get(Tag.TILE_HEIGHT, (0,))[0]
        if wide < 1 or high < 1:
            raise corrupt("the TIFF declares tiles without a size")
        if wide * high > MAX_TILE_PIXELS:
            raise ItemError("too_costly", f"tiles of {wide} x {high} pixels")
        count = -(-layout.width // wide) * -(-layout.height // high) * planes
        offsets, lengths = tags[Tag.TILE_OFFSETS], tags.get(Tag.TILE_LENGTHS, ())
        rows = [high] * len(offsets)
    else:
        wide, high = layout.width, min(tags.get(Tag.ROWS_PER_STRIP, (layout.height,))[0], layout.height)
        if high < 1:
            raise corrupt("the TIFF declares strips without a row")
        per_plane = -(-layout.height // high)
        count = per_plane * planes
        offsets, lengths = tags.get(Tag.STRIP_OFFSETS, ()), tags.get(Tag.STRIP_LENGTHS, ())
        rows = [min(high, layout.height - high * (i % per_plane)) for i in range(min(count, len(offsets)))]
    if count > MAX_STRIPS:
        raise ItemError("too_costly", f"{count} strips or tiles")
    row_bytes = -(-wide * row_samples * layout.bits // 8)
    if compression == "none" and not lengths:  # old writers leave them out
        lengths = tuple(height * row_bytes for height in rows)
    if len(offsets) != count or len(lengths) != count:
        raise corrupt(f"the TIFF lists {len(offsets)} strips or tiles, and the image has {count}")
    parts = [
        strips.Strip(offset, length, height * row_bytes)
        for offset, length, height in zip(offsets, lengths, rows, strict=True)
    ]
    whole = strips.Whole(compression, bytes(tags.get(Tag.JPEG_TABLES, ())), wide * high, high * row_bytes)
    strips.check(data, parts, whole)
