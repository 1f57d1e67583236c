"""The kind of defect that an image most likely shows: a linear layer over the network's feature.

A guess next to the verdict, which it never moves. The artifact holds the layer, fitted by training.fit.kinds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtifactError
from shared.registry.artifact import Artifact
from shared.vision.arrays import npz_bytes, read_npz
from shared.vision.guard import squeezed

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Kinds:
    """`names` (K,) and `layer` (F + 1, K), whose last row is the offset."""

    names: tuple[str, ...]
    layer: Floats

    def likely(self, features: NDArray[Any]) -> list[str]:
        """The most likely kind of each image, from its feature (N, F)."""
        places = (squeezed(features) @ self.layer[:-1] + self.layer[-1]).argmax(axis=1)
        return [self.names[place] for place in places]

    def as_bytes(self) -> bytes:
        """An npz archive; the names are in the artifact's manifest."""
        return npz_bytes({"layer": self.layer})


def read_kinds(artifact: Artifact, features: int) -> Kinds | None:
    """The kinds of an artifact whose network gives `features` numbers, or None where it knows none.

    Raises ArtifactError where the layer is damaged or of another shape.
    """
    data = artifact.kinds_layer()
    if data is None:
        return None
    layer = read_npz(data, ["layer"])["layer"]
    if layer.dtype != np.float32 or layer.shape != (features + 1, len(artifact.kinds)):
        raise ArtifactError(
            f"{artifact.name}: the layer of kinds is {layer.dtype} {layer.shape}, not for {features} features and "
            f"{len(artifact.kinds)} kinds"
        )
    if not np.isfinite(layer).all():
        raise ArtifactError(f"{artifact.name}: the layer of kinds holds a value that is no number")
    return Kinds(artifact.kinds, layer)
