"""Images that an artifact carries with the logits that its network gave for them when it was made.

A worker that loads the artifact by trial compares: other logits mean another network, or a machine that computes
something else.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtifactError
from shared.vision.arrays import npz_bytes, read_npz


class SelfTest(NamedTuple):
    images: NDArray[np.uint8]  # (N, H, W, C)
    logits: NDArray[np.float32]  # (N,)


def self_test_bytes(images: NDArray[np.uint8], logits: NDArray[np.float32]) -> bytes:
    """The form in which an artifact carries them."""
    return npz_bytes({"images": np.asarray(images, np.uint8), "logits": np.asarray(logits, np.float32)})


def read_self_test(data: bytes) -> SelfTest:
    """Raises ArtifactError where the arrays are damaged, or do not belong together."""
    try:
        arrays = read_npz(data, SelfTest._fields)
    except ArtifactError as error:
        raise ArtifactError(f"the self-test cannot be used: {error.detail}") from error
    images, logits = arrays["images"], arrays["logits"]
    fits = images.ndim == 4 and logits.shape == images.shape[:1] and len(images) > 0
    if not fits or images.dtype != np.uint8 or logits.dtype != np.float32 or not np.isfinite(logits).all():
        raise ArtifactError(f"the self-test cannot be used: images {images.shape}, logits {logits.shape}")
    return SelfTest(images, logits)
