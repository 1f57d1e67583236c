"""The kind of defect that an image most likely shows: one or two layers over the network's feature.

A guess next to the verdict, which it never moves. The artifact holds the layers, fitted by training.fit.kinds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtifactError
from shared.registry.artifact import Artifact
from shared.vision.arrays import Array, npz_bytes, read_npz
from shared.vision.guard import squeezed

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Kinds:
    """`names` (K,) and `layer` (F + 1, K), whose last row is the offset; with a `hidden` layer (F + 1, H) before it,
    `layer` is (H + 1, K)."""

    names: tuple[str, ...]
    layer: Floats
    hidden: Floats | None = None

    def likely(self, features: Array) -> list[str]:
        """The most likely kind of each image, from its feature (N, F)."""
        return [self.names[place] for place in self.odds(squeezed(features)).argmax(axis=1)]

    def odds(self, values: Floats) -> Floats:
        """(N, K) of squeezed features (N, F): the larger, the likelier the kind."""
        if self.hidden is not None:
            values = np.maximum(values @ self.hidden[:-1] + self.hidden[-1], 0)
        return np.asarray(values @ self.layer[:-1] + self.layer[-1], np.float32)

    def as_bytes(self) -> bytes:
        """An npz archive; the names are in the artifact's manifest."""
        return npz_bytes({"layer": self.layer} | ({} if self.hidden is None else {"hidden": self.hidden}))


def read_kinds(artifact: Artifact, features: int) -> Kinds | None:
    """The kinds of an artifact whose network gives `features` numbers, or None where it knows none.

    Raises ArtifactError where the layer is damaged or of another shape.
    """
    data = artifact.kinds_layer()
    if data is None:
        return None
    arrays = read_npz(data, ["layer"], ["hidden"])
    inside = features
    for name in ("hidden", "layer"):
        if name not in arrays:
            continue
        layer = arrays[name]
        fits = (
            layer.dtype == np.float32 and layer.ndim == 2 and len(layer) == inside + 1 and layer.shape[1] > 0
        )
        if not fits or (name == "layer" and layer.shape[1] != len(artifact.kinds)):
            raise ArtifactError(
                f"{artifact.name}: the {name} of kinds is {layer.dtype} {layer.shape}, not for {inside} features and "
                f"{len(artifact.kinds)} kinds"
            )
        if not np.isfinite(layer).all():
            raise ArtifactError(f"{artifact.name}: the {name} of kinds holds a value that is no number")
        inside = layer.shape[1]
    return Kinds(artifact.kinds, arrays["layer"], arrays.get("hidden"))
