"""LitServe with dynamic batches: `python -m bench.peers.litserve_app`."""

import os
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from shared.registry.artifact import read_artifact
from shared.vision.preprocess import decode
from worker.inference.engines.cpu import OnnxEngine


class Inspection(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.artifact = read_artifact(Path(os.environ["PEER_ARTIFACT"]))
        self.engine = OnnxEngine(self.artifact, threads=int(os.environ["PEER_THREADS"]))

    def decode_request(self, request):  # type: ignore[no-untyped-def] # its annotation would change the request
        return decode(request["file"].file.read(), self.artifact.preprocessing)

    def batch(self, inputs: Any) -> Any:
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        return self.engine.predict(x)

    def unbatch(self, output: Any) -> Any:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, float]:
        return {"logit": float(output)}


if __name__ == "__main__":
    api = Inspection(max_batch_size=32, batch_timeout=0.01)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=int(os.environ["PEER_PROCESSES"]), timeout=60
    )
    server.run(host="127.0.0.1", port=int(os.environ["PEER_PORT"]), generate_client_file=False)
