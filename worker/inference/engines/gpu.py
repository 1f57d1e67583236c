"""The engine of GPU workers. On a CPU it runs in fp32, so that any machine can test that both agree."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.errors import ArtifactError
from shared.registry.artifact import Artifact
from shared.vision import net


def cuda_available() -> bool:
    """Whether torch sees a usable GPU."""
    return bool(torch.cuda.is_available())


class TorchEngine:
    """A network on one device, channels_last.

    `reduced` computes in fp16 under autocast; without it the GPU computes in true fp32, TF32 off.
    """

    name = "torch"

    def __init__(
        self, artifact: Artifact, *, device: str = "cuda", threads: int = 1, reduced: bool = True
    ) -> None:
        """Raises ArtifactError if weights and card do not fit, RuntimeError without such a device."""
        if device == "cuda" and not cuda_available():
            raise RuntimeError("device cuda was asked for, and torch sees no usable GPU")
        self.device = device
        self.threads = threads
        self._reduced = reduced and device == "cuda"
        if device == "cpu":
            torch.set_num_threads(threads)
        try:
            network = net.load(artifact.weights(), artifact.card)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{artifact.name}: weights and card do not fit: {error}") from error
        self._net = network.to(device).to(memory_format=torch.channels_last)
        if device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See worker.inference.engines.load.Engine."""
        return self._run(images)[0]

    def predict_with_features(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See worker.inference.engines.load.Engine."""
        logit, feature, _ = self._run(images)
        return logit, feature

    def explain(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """See worker.inference.engines.load.Engine."""
        return self._run(images)

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        try:
            with torch.inference_mode(), torch.autocast(self.device, torch.float16, enabled=self._reduced):
                outputs = self._net(self._moved(images))
            return tuple(output.float().cpu().numpy() for output in outputs)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise MemoryError(f"{len(images)} images do not fit on the GPU") from error

    def _moved(self, images: NDArray[np.uint8]) -> torch.Tensor:
        if self.device == "cpu":
            # A copy, since decoded images are read-only and torch has no read-only tensors.
            return torch.from_numpy(np.array(images))
        # Bytes are a quarter of the transfer of floats. From pinned memory the copy overlaps the kernels of the
        # previous micro-batch, and the CPU is free to decode the next.
        pinned: Any = torch.empty(images.shape, dtype=torch.uint8, pin_memory=True)
        pinned.numpy()[...] = images
        return pinned.to(self.device, non_blocking=True)  # type: ignore[no-any-return]
