"""The bytes of an item to pixels: a fault of an image becomes the error of its own item."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared import failpoints
from shared.errors import ItemError
from shared.lifecycle.claims import ClaimedItem
from shared.lifecycle.verdicts import Result
from shared.registry.artifact import Preprocessing
from shared.vision.accepted import Limits
from shared.vision.preprocess import decode


@dataclass(frozen=True, slots=True)
class Decoded:
    seq: int
    image: NDArray[np.uint8]
    decode_ms: float


def decode_item(item: ClaimedItem, data: bytes, spec: Preprocessing, limits: Limits) -> Decoded | Result:
    """The pixels for the network, or the failed result of the item."""
    started = time.perf_counter()
    try:
        failpoints.hit("worker.decode", item.sha256)
        image = decode(data, spec, limits, item.frame)
    except ItemError as error:
        return Result(item.seq, error_code=error.code, error_detail=error.detail)
    except MemoryError:
        # A MemoryError that leaves the task ends the whole worker and loses its message.
        return Result(item.seq, error_code="too_costly", error_detail="not enough memory to decode the image")
    return Decoded(item.seq, image, 1000 * (time.perf_counter() - started))
