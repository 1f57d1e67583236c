"""One item's bytes to pixels. An error in the bytes fails that item and no other."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared import failpoints
from shared.errors import ItemError
from shared.lifecycle.claims import ClaimedItem
from shared.lifecycle.verdicts import Result
from shared.registry.artifact import Preprocessing
from shared.vision.preprocess import decode


@dataclass(frozen=True, slots=True)
class Decoded:
    seq: int
    image: NDArray[np.uint8]
    decode_ms: float


def decode_item(item: ClaimedItem, data: bytes, spec: Preprocessing, max_pixels: int) -> Decoded | Result:
    """The image as the network wants it (H, W, C), or the item's failed result."""
    started = time.perf_counter()
    try:
        failpoints.hit("worker.decode", item.sha256)
        image = decode(data, spec, max_pixels=max_pixels)
    except ItemError as error:
        return Result(item.seq, error_code=error.code, error_detail=error.detail)
    except MemoryError:
        # A MemoryError that leaves the task ends the whole worker, message and all.
        return Result(item.seq, error_code="too_many_pixels", error_detail="not enough memory to decode it")
    return Decoded(item.seq, image, 1000 * (time.perf_counter() - started))
