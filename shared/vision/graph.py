"""An artifact's ONNX graph on the CPU. Workers serve with it and `training evaluate` scores with it."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtifactError
from shared.registry.artifact import Artifact
from shared.vision.arrays import Array

INPUT = "images"
OUTPUTS = ("logit", "feature", "activation")
STRONG = "strong"  # a cascade's fourth output: where the strong network judged
_PIECE = 8

# Read by the library while it loads: nothing leaves the machine.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class Graph:
    """A session of ONNX Runtime. Safe to call from several threads; `threads` cores work on each call."""

    def __init__(self, artifact: Artifact, *, threads: int) -> None:
        """Raises ArtifactError if the graph cannot be loaded or lacks the declared input and outputs."""
        import onnxruntime

        if hasattr(onnxruntime, "disable_telemetry_events"):
            onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A spinning thread takes the core from another process that has images to decode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                artifact.onnx(), options, providers=["CPUExecutionProvider"]
            )
        except ArtifactError:
            raise
        except Exception as error:  # the library's exceptions have no common root
            raise ArtifactError(f"{artifact.name}: the graph cannot be loaded: {error}") from error
        self._check(artifact)

    def _check(self, artifact: Artifact) -> None:
        spec = artifact.preprocessing
        inputs = {node.name: node for node in self._session.get_inputs()}
        names = {node.name for node in self._session.get_outputs()}
        if set(inputs) != {INPUT} or inputs[INPUT].type != "tensor(uint8)":
            raise ArtifactError(f"{artifact.name}: the graph's only input must be uint8 `{INPUT}`")
        if list(inputs[INPUT].shape[1:]) != [spec.height, spec.width, spec.channels]:
            raise ArtifactError(f"{artifact.name}: the graph takes {inputs[INPUT].shape}, not {spec}")
        if not names.issuperset(OUTPUTS):
            raise ArtifactError(f"{artifact.name}: the graph lacks an output of {OUTPUTS}")
        self._outputs = (*OUTPUTS, STRONG) if STRONG in names else OUTPUTS

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N,) of images (N, H, W, C)."""
        return self._run(["logit"], images)[0]

    def logits_and_features(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (N,) and features (N, F) of images (N, H, W, C); the graph computes both anyway."""
        logit, feature = self._run(["logit", "feature"], images)
        return logit, feature

    def outputs(self, images: NDArray[np.uint8]) -> tuple[Array, ...]:
        """Logits (N,), features (N, F) and activation maps (N, h, w) of images (N, H, W, C); of a cascade also 1 for
        each image that its strong network judged (N,)."""
        return tuple(self._run(self._outputs, images))

    def _run(self, names: Sequence[str], images: NDArray[np.uint8]) -> list[Array]:
        """In pieces whose activations stay in the cache: 5 % less time, and the same bits, as for 32 at once."""
        pieces = [
            self._session.run(list(names), {INPUT: images[start : start + _PIECE]})
            for start in range(0, max(1, len(images)), _PIECE)
        ]
        return (
            [np.concatenate(parts) for parts in zip(*pieces, strict=True)] if len(pieces) > 1 else pieces[0]
        )
