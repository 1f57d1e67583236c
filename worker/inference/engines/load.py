"""The interface between a worker and the library that computes the network, and the choice of it."""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.registry.artifact import Artifact

Device = Literal["auto", "cpu", "cuda"]


class Engine(Protocol):
    """A loaded model. `name`, `device` and `threads` are for the log and for `/v1/workers`."""

    name: str
    device: str
    threads: int

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N,) of images (N, H, W, C), N >= 1. Raises MemoryError when they do not fit."""

    def predict_with_features(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (N,) and features (N, F), which the guard looks at; as fast as `predict`."""

    def explain(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """Logits (N,), features (N, F) and activation maps (N, h, w); of a cascade also 1 for each image that its
        strong network judged (N,)."""


def load_engine(
    artifact: Artifact, *, device: Device = "auto", threads: int = 1, reduced: bool = False
) -> Engine:
    """CUDA through torch (in fp16 if `reduced`) if `device` asks for it or a GPU is present, else ONNX Runtime.

    `auto` imports torch only if an NVIDIA driver is present: a CPU worker must not pay for it.
    Raises ArtifactError for a model that cannot be loaded, RuntimeError if `cuda` is asked for and absent.
    """
    if device == "cuda" or (device == "auto" and _cuda_present()):
        from worker.inference.engines.gpu import TorchEngine

        return TorchEngine(artifact, device="cuda", threads=threads, reduced=reduced)
    from worker.inference.engines.cpu import OnnxEngine

    return OnnxEngine(artifact, threads=threads)


def _cuda_present() -> bool:
    from importlib.util import find_spec
    from pathlib import Path

    if not Path("/dev/nvidiactl").exists() or find_spec("torch") is None:
        return False
    import worker.inference.engines.gpu

    return worker.inference.engines.gpu.cuda_available()
