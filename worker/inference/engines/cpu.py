"""The engine of CPU workers: no torch, about twice torch's speed."""

import numpy as np
from numpy.typing import NDArray

from shared.registry.artifact import Artifact
from shared.vision.graph import Graph


class OnnxEngine:
    """ONNX Runtime on `threads` cores."""

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, artifact: Artifact, *, threads: int) -> None:
        self.threads = threads
        self._graph = Graph(artifact, threads=threads)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See worker.inference.engines.load.Engine."""
        return self._graph.logits(images)

    def predict_with_features(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See worker.inference.engines.load.Engine."""
        return self._graph.logits_and_features(images)

    def explain(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """See worker.inference.engines.load.Engine."""
        return self._graph.outputs(images)
