"""The guard: does an image look like those that the model was trained on?

A score means something only there. Four distances are taken of each image: how unusual its pixels and features are
together (Mahalanobis), how badly its layout and its feature are rebuilt from the main directions of the training part,
and how much a small network takes it for a stranger rather than for one of the training part. Each is scaled by its
spread on the validation part, and the largest must stay within the bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from shared.contract.states import Reason
from shared.errors import ArtifactError
from shared.registry.artifact import Artifact, Preprocessing
from shared.vision.arrays import Array, Arrays, npz_bytes, read_npz
from shared.vision.describe import CONTRAST, VERSION, describe
from shared.vision.sketch import sketch
from shared.vision.survey import survey

# Versions 3 and 4 are for networks whose feature holds a trace; an artifact of before keeps its own version.
DESCRIPTIONS = {VERSION: describe, 3: sketch, 4: survey}
Floats = NDArray[np.float32]
_CLIP = np.float32(8)  # deviations; further out the stranger network was never trained


@dataclass(frozen=True)
class Guard:
    """The fitted parameters. Matrices are kept in half precision in the artifact, and computed with in single."""

    version: Floats
    statistics_mean: Floats  # (S,)
    statistics_map: Floats  # (S, S), whitens
    sample_mean: Floats  # (P,)
    sample_axes: Floats  # (P, k), orthonormal
    sample_spread: Floats  # (k,)
    feature_mean: Floats  # (F,), of log(1 + feature)
    feature_axes: Floats  # (F, j), orthonormal
    feature_spread: Floats  # (j,)
    residual_mean: Floats  # (2,), logarithms of what the axes leave: of the sample, of the feature
    residual_spread: Floats  # (2,)
    joint_mean: Floats  # (S + k + j + 2,)
    joint_map: Floats  # square, whitens all of it together
    layer1: Floats  # the stranger network; the last row of a layer is its offset
    layer2: Floats
    layer3: Floats
    centre: Floats  # (4,), of each distance on the validation part
    reach: Floats  # (4,)
    bound: Floats  # ()
    least_contrast: Floats  # (), grey levels; an image with less is blank

    def coordinates(self, images: NDArray[np.uint8], features: Array) -> tuple[Floats, Floats]:
        """Coordinates (N, D) of images (N, H, W, C) with features (N, F), and their contrast (N,) in grey levels."""
        statistics, samples = DESCRIPTIONS[int(self.version)](images)
        layout, layout_left = _along(samples, self.sample_mean, self.sample_axes, self.sample_spread)
        feature, feature_left = _along(
            squeezed(features), self.feature_mean, self.feature_axes, self.feature_spread
        )
        left = (np.stack([layout_left, feature_left], axis=1) - self.residual_mean) / self.residual_spread
        white = (statistics - self.statistics_mean) @ self.statistics_map
        return np.concatenate([white, layout, feature, left], axis=1), np.expm1(statistics[:, CONTRAST])

    def distances(self, coordinates: Floats) -> Floats:
        """The four distances (N, 4), not scaled yet."""
        white = (coordinates - self.joint_mean) @ self.joint_map
        inner = np.clip(coordinates, -_CLIP, _CLIP)
        for layer in (self.layer1, self.layer2):
            inner = np.maximum(inner @ layer[:-1] + layer[-1], 0)
        stranger = inner @ self.layer3[:-1] + self.layer3[-1]
        joint = np.sqrt(np.vecdot(white, white))
        return np.concatenate([joint[:, None], coordinates[:, -2:], stranger], axis=1)

    def judge(self, images: NDArray[np.uint8], features: Array) -> list[tuple[Reason, ...]]:
        """For each image why it is unlike the training part; empty for one that is like it."""
        return self.measure(images, features)[0]

    def measure(
        self, images: NDArray[np.uint8], features: Array
    ) -> tuple[list[tuple[Reason, ...]], list[float]]:
        """The reasons of `judge`, and the largest distance of each image in bounds: over 1 it lies outside."""
        coordinates, contrast = self.coordinates(images, features)
        farthest = ((self.distances(coordinates) - self.centre) / self.reach).max(axis=1)
        # Asked this way round, a distance that is no number lies outside.
        inside = farthest <= self.bound
        blank = ~(contrast >= self.least_contrast)
        reasons: list[tuple[Reason, ...]] = [
            (Reason.BLANK,) if is_blank else () if is_inside else (Reason.UNFAMILIAR,)
            for is_blank, is_inside in zip(blank, inside, strict=True)
        ]
        with np.errstate(all="ignore"):  # an artifact may state a bound of zero
            return reasons, (farthest / self.bound).tolist()

    def as_bytes(self) -> bytes:
        """An npz archive, the same bytes for the same guard; `read_guard` reads it back."""
        return npz_bytes(self.arrays())

    def arrays(self) -> Arrays:
        """The parameters as they are stored: matrices in half precision."""
        named = {field.name: np.asarray(getattr(self, field.name), np.float32) for field in fields(self)}
        return {name: array.astype(np.float16) if array.ndim == 2 else array for name, array in named.items()}


def squeezed(features: Array) -> Floats:
    """Features after a logarithm: their largest values would else decide alone."""
    return np.log1p(np.maximum(np.asarray(features, np.float32), np.float32(0)))


def _along(values: Floats, mean: Floats, axes: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Coordinates (N, k) along the axes, in spreads, and the logarithm of the mean square that they leave (N,)."""
    centred = values - mean
    along = centred @ axes
    left = np.vecdot(centred, centred) - np.vecdot(along, along)
    left = np.maximum(left, 0) / np.float32(values.shape[1]) + np.float32(1e-4)
    return np.asarray(along / spread, np.float32), np.asarray(np.log(left), np.float32)


def guard_of(arrays: Mapping[str, Array]) -> Guard:
    """A guard that computes with exactly the numbers that are stored. Raises KeyError or ValueError."""
    named = {field.name: np.array(arrays[field.name], np.float32, order="C") for field in fields(Guard)}
    if not all(bool(np.isfinite(array).all()) for array in named.values()):
        raise ValueError("a parameter is no number")
    if int(named["version"]) not in DESCRIPTIONS:
        raise ValueError(
            f"made for description {int(named['version'])} of an image, this program has {[*DESCRIPTIONS]}"
        )
    return Guard(**named)


def guard_in(artifact: Artifact, features: int) -> Guard | None:
    """The guard of an artifact whose network gives `features` numbers, or None where it has none.

    Raises ArtifactError where the guard is damaged or for another number of features.
    """
    data = artifact.guard()
    if data is None:
        return None
    guard = read_guard(data, artifact.preprocessing)
    if features != len(guard.feature_mean):
        raise ArtifactError(
            f"{artifact.name}: the guard is for {len(guard.feature_mean)} features, not {features}"
        )
    return guard


def read_guard(data: bytes, spec: Preprocessing) -> Guard:
    """The guard in `data`, tried on one image of the size that `spec` names.

    Raises ArtifactError where it is damaged, made for another size, or for another version of the description.
    """
    try:
        arrays = read_npz(data, [field.name for field in fields(Guard)])
        guard = guard_of(arrays)
        image = np.zeros((1, spec.height, spec.width, spec.channels), np.uint8)
        reasons = guard.judge(image, np.zeros((1, *guard.feature_mean.shape), np.float32))
    except ArtifactError as error:
        raise ArtifactError(f"the guard cannot be used: {error.detail}") from error
    except (ValueError, IndexError, OverflowError) as error:  # shapes that do not fit each other
        raise ArtifactError(f"the guard cannot be used: {error}") from error
    if len(reasons) != 1:
        raise ArtifactError("the guard cannot be used: it gives no answer for an image")
    return guard
