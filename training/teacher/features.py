"""Pretrained features of many images: decoded in chunks, never kept as pixels, computed by ONNX Runtime."""

import io
import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.registry.artifact import Preprocessing
from shared.vision.lite0 import PLACE_DEPTH, FeatureNet
from training.data.pixels import decode_files
from training.fit.recipe import SMALL_SIDE
from training.teacher.places import Seen
from training.teacher.weights import pretrained

Floats = NDArray[np.float32]

SHRINK = 2  # the features see twice the side that the small network sees
_FIRST_SIDE = 224  # the size that the pretrained network learned at
_ENLARGE = 4  # a small image is enlarged, or the deep layers would see a point
_CHUNK = 32
# On one core: 28 ms an image at 320 pixels in twos, 36 ms in batches of 32, whose maps leave the cache.
_BATCH = 2


def strong_preprocessing(spec: Preprocessing) -> Preprocessing:
    """The form of images for the features: small ones as they are, larger ones at twice the small network's side."""
    shrink = shrink_for(spec)
    return Preprocessing(spec.width * shrink, spec.height * shrink, spec.channels, spec.full_scale)


def shrink_for(spec: Preprocessing) -> int:
    """By how much a small network's images are smaller than those of the features."""
    return 1 if max(spec.width, spec.height) <= SMALL_SIDE else SHRINK


def sizes_for(strong: Preprocessing) -> tuple[tuple[int, int], ...]:
    """The sizes (height, width) at which features are taken, the cheapest first."""
    if max(strong.width, strong.height) <= SMALL_SIDE:
        return ((strong.height * _ENLARGE, strong.width * _ENLARGE),)
    shrink = min(1.0, _FIRST_SIDE / math.sqrt(strong.width * strong.height))
    first = (_by_32(strong.height * shrink), _by_32(strong.width * shrink))
    full = (strong.height, strong.width)
    return (first, full) if first[0] * first[1] < 0.8 * full[0] * full[1] else (full,)


def _by_32(length: float) -> int:
    return max(32, round(length / 32) * 32)


class _Pooled(nn.Module):
    def __init__(self, net: FeatureNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, places, _ = self.net.seen(images)
        return features, places.half()


class Extractor:
    """Features (N, F) of images in the form `strong`, at `sizes`."""

    def __init__(self, strong: Preprocessing, sizes: Sequence[tuple[int, int]], *, threads: int) -> None:
        """Raises DataError where the weights are not installed."""
        self.strong, self.sizes, self._threads = strong, tuple(sizes), threads
        net = FeatureNet(self.sizes).eval()
        net.trunk = pretrained()
        self.net = net
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            _exported(net, strong), options, providers=["CPUExecutionProvider"]
        )

    def of(self, images: NDArray[np.uint8]) -> Floats:
        """Features of decoded images (N, H, W, C)."""
        return self.run(images)[0]

    def run(self, images: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.float16]]:
        parts = [
            self._session.run(None, {"images": images[start : start + _BATCH]})
            for start in range(0, len(images), _BATCH)
        ]
        if not parts:
            return np.zeros((0, self.net.head.in_features), np.float32), np.zeros(
                (0, PLACE_DEPTH, 1, 1), np.float16
            )
        pooled, places = (np.concatenate(column) for column in zip(*parts, strict=True))
        return pooled, places

    def of_files(self, files: Sequence[Path], *, places: bool = False) -> Seen:
        """Features of files, the pixels of a chunk in memory at a time; those of `places` where they are wanted.

        Raises DataError with the name of an unreadable one.
        """
        pooled = np.zeros((len(files), self.net.head.in_features), np.float32)
        found = None
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            some, where = self.run(decode_files(chunk, self.strong, threads=self._threads))
            pooled[start : start + len(chunk)] = some
            if not places:
                continue
            if found is None:
                found = np.zeros((len(files), *where.shape[1:]), np.float16)
            found[start : start + len(chunk)] = where
        return Seen(pooled, found)

    def place_count(self) -> int:
        """How many places an image has."""
        height, width = self.sizes[-1]
        return -(-height // 16) * -(-width // 16)

    def seconds_an_image(self) -> float:
        """CPU seconds on one image, measured on a chunk of blank ones."""
        blank = np.zeros((8, self.strong.height, self.strong.width, self.strong.channels), np.uint8)
        self.of(blank[:2])
        started = time.process_time()
        self.of(blank)
        return (time.process_time() - started) / len(blank)


def extractor_within(strong: Preprocessing, count: int, seconds: float, *, threads: int) -> Extractor | None:
    """The extractor at the most sizes that take `count` images in `seconds` of CPU; None where none does."""
    sizes = sizes_for(strong)
    for most in range(len(sizes), 0, -1):
        extractor = Extractor(strong, sizes[:most], threads=threads)
        if extractor.seconds_an_image() * count <= seconds:
            return extractor
    return None


def _exported(net: FeatureNet, strong: Preprocessing) -> bytes:
    example = torch.zeros(2, strong.height, strong.width, strong.channels, dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # As in training.output.export; the padding is worked out for the sizes that are traced.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Pooled(net).eval(),
            (example,),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            output_names=["features", "places"],
            dynamic_axes={name: {0: "n"} for name in ("images", "features", "places")},
        )
    return buffer.getvalue()
