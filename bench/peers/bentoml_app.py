"""BentoML with adaptive batches: `bentoml serve bench.peers.bentoml_app:Inspection`."""

import os
from pathlib import Path

import bentoml
import numpy as np

from shared.registry.artifact import read_artifact
from shared.vision.preprocess import decode
from worker.inference.engines.cpu import OnnxEngine


@bentoml.service(workers=int(os.environ["PEER_PROCESSES"]), traffic={"timeout": 60})
class Inspection:
    def __init__(self) -> None:
        self.artifact = read_artifact(Path(os.environ["PEER_ARTIFACT"]))
        self.engine = OnnxEngine(self.artifact, threads=int(os.environ["PEER_THREADS"]))

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)
    def predict(self, file: list[Path]) -> list[float]:
        images = [decode(path.read_bytes(), self.artifact.preprocessing) for path in file]
        return [float(logit) for logit in self.engine.predict(np.stack(images))]
