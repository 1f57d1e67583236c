"""A fuzzer for the image edge: `python -m tests.damage.fuzz SECONDS`."""

import io
import itertools
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.contract.frames import MOST_FRAMES, frame_numbers
from shared.errors import ItemError, ItemErrorCode
from shared.registry.artifact import Preprocessing
from shared.vision.preprocess import decode, view
from tests.damage.harm import FORMATS, encoded

SPECS = (
    Preprocessing(32, 32, 1),
    Preprocessing(24, 40, 3),
    Preprocessing(32, 32, 1, full_scale=65535),
)
_FLIP = Image.Transpose.FLIP_TOP_BOTTOM
SLOWEST_S = 10.0
MOST_BYTES = 1_500 * 2**20


def _sound() -> list[bytes]:
    grey = Image.effect_noise((48, 40), 60)
    colour = Image.merge("RGB", (grey, grey.transpose(_FLIP), grey))
    alpha = colour.copy()
    alpha.putalpha(grey)
    files = [encoded(image, name) for name in FORMATS for image in (grey, colour)]
    files += [encoded(alpha, name) for name in ("PNG", "WebP, lossy", "TIFF, LZW")]
    files += [encoded(colour.quantize(30), name) for name in ("PNG", "BMP", "TIFF, uncompressed")]
    files += [encoded(grey.convert("I;16"), name) for name in ("PNG", "TIFF, Deflate")]
    files += [encoded(colour.convert("CMYK"), name) for name in ("JPEG", "TIFF, PackBits")]
    return files + [
        _several((colour, colour.transpose(_FLIP)), kind) for kind in ("TIFF", "MPO", "PNG", "WEBP")
    ]


def _several(images: Sequence[Image.Image], kind: str) -> bytes:
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:])
    return buffer.getvalue()


_SOUND = _sound()
_NUMBERS = [
    0,
    1,
    2,
    3,
    8,
    16,
    32,
    127,
    128,
    255,
    256,
    4095,
    7000,
    32767,
    65535,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
]


@st.composite
def broken_images(draw: st.DrawFn) -> bytes:
    """A sound file with some bytes changed, numbers replaced by extreme ones, parts removed or repeated."""
    data = bytearray(draw(st.sampled_from(_SOUND)))
    for _ in range(draw(st.integers(1, 6))):
        # Headers decide most, so half of the changes go there.
        reach = draw(st.sampled_from([min(200, len(data)), len(data)]))
        place = draw(st.integers(0, reach - 1))
        way = draw(st.sampled_from(["byte", "number", "remove", "repeat", "cut"]))
        if way == "byte":
            data[place] = draw(st.integers(0, 255))
        elif way == "number":
            size, order = draw(st.sampled_from([2, 4])), draw(st.sampled_from(["little", "big"]))
            number = draw(st.sampled_from(_NUMBERS)) % 256**size
            data[place : place + size] = number.to_bytes(size, order)
        elif way == "remove":
            del data[place : place + draw(st.integers(1, 40))]
        elif way == "repeat":
            data[place:place] = data[place : place + draw(st.integers(1, 300))]
        else:
            del data[place:]
        if not data:
            return b""
    return bytes(data)


def outcome(data: bytes) -> str:
    """`judged` or the item's code. Raises AssertionError where a bound is broken or a detail shows internals."""
    result, before = "judged", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    numbers = frame_numbers(data)
    assert len(numbers) <= MOST_FRAMES
    for spec, frame in itertools.product(SPECS, (None, *numbers[:2])):
        started = time.perf_counter()
        try:
            pixels = decode(data, spec, frame=frame)
            assert pixels.shape == (spec.height, spec.width, spec.channels)
            assert max(view(data, spec, 64, frame=frame).size) <= 64
        except ItemError as error:
            result = error.code
            assert result in get_args(ItemErrorCode)
            assert error.detail and "0x" not in error.detail and "object" not in error.detail, error.detail
        assert time.perf_counter() - started < SLOWEST_S
    # By how much the peak rose: the process of a test suite may have been larger before.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_BYTES
    return result


def main() -> int:
    """Fuzz for the given seconds and print how often each outcome was seen."""
    until = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else time.monotonic() + 60
    seen: Counter[str] = Counter()

    @settings(max_examples=2000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(broken_images())
    def run(data: bytes) -> None:
        if time.monotonic() < until:
            seen[outcome(data)] += 1

    while time.monotonic() < until:
        run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{seen.total()} files, peak memory {peak} MiB: {dict(seen.most_common())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
