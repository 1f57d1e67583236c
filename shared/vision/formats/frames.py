"""An image of a file that holds several, as a file of its own: it then passes the checks of every other image.

Pages of a TIFF and images of an MPO are cut out as they are. A frame of an animation is drawn by Pillow over the frames
before it, and is written as a PNG.
"""

import io
import struct

from PIL import Image

from shared.contract.frames import cut_out, frame_numbers, webp_chunks
from shared.errors import ItemError
from shared.vision.accepted import Limits, corrupt, unsupported
from shared.vision.formats import png, webp

_FRAME_HEAD = 16  # bytes of an ANMF chunk before those of its image
_ALPHA = 0x10


def alone(data: bytes, kind: str, number: int, limits: Limits) -> tuple[bytes, str]:
    """Frame `number`, counted from 1, as a whole file and its format. Raises ItemError."""
    if kind in ("PNG", "WEBP"):
        return _drawn(data, kind, number, limits), "PNG"
    cut = cut_out(data, number)
    if cut is None:
        raise corrupt(f"the file has no frame {number}")
    return cut, kind


def _drawn(data: bytes, kind: str, number: int, limits: Limits) -> bytes:
    if number not in frame_numbers(data):
        raise corrupt(f"the file has no frame {number}")
    inspect = png.inspect if kind == "PNG" else webp.inspect
    layout = inspect(data, limits, animated=True)
    if layout.bits > 8:
        raise unsupported("an animation of more than 8 bits")
    # Each frame is drawn over those before it, so the last frame costs as much as all.
    if layout.width * layout.height * number > limits.max_pixels:
        raise ItemError(
            "too_costly", f"frame {number} of an animation of {layout.width} x {layout.height} pixels"
        )
    if kind == "WEBP":
        _check_tails(data, number)
    with Image.open(io.BytesIO(data), formats=(kind,)) as image:
        image.seek(number - 1)
        image.load()
        drawn, file = image.convert("RGBA"), io.BytesIO()
        drawn.save(file, "PNG", compress_level=0, exif=image.info.get("exif") or b"")
    return file.getvalue()


def _check_tails(data: bytes, number: int) -> None:
    """Ask the image data of a frame, and of those under it, for the evidence that a still WebP gives."""
    frames = [(first, after) for name, first, after in webp_chunks(data) if name == b"ANMF"]
    for first, after in frames[:number]:
        head, body = data[first : first + _FRAME_HEAD], data[first + _FRAME_HEAD : after]
        # A still WebP with alpha needs an extended header, which repeats the size of the frame.
        flags = _ALPHA if any(name == b"ALPH" for name, _, _ in webp_chunks(body, 0)) else 0
        extended = b"VP8X" + struct.pack("<II", 10, flags) + head[6:12]
        rest = b"WEBP" + extended + body
        webp.check_tail(b"RIFF" + struct.pack("<I", len(rest)) + rest)
