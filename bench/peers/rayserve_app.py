"""Ray Serve with dynamic batches: `python -m bench.peers.rayserve_app`."""

import os
import signal
from pathlib import Path

import numpy as np
import ray
from ray import serve
from starlette.requests import Request

from shared.registry.artifact import read_artifact
from shared.vision.preprocess import decode
from worker.inference.engines.cpu import OnnxEngine


@serve.deployment(
    num_replicas=int(os.environ["PEER_PROCESSES"]),
    max_ongoing_requests=128,
    ray_actor_options={"num_cpus": 0.5},
)
class Inspection:
    def __init__(self) -> None:
        self.artifact = read_artifact(Path(os.environ["PEER_ARTIFACT"]))
        self.engine = OnnxEngine(self.artifact, threads=int(os.environ["PEER_THREADS"]))

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.01)
    async def score(self, images: list[bytes]) -> list[float]:
        arrays = [decode(image, self.artifact.preprocessing) for image in images]
        return [float(logit) for logit in self.engine.predict(np.stack(arrays))]

    async def __call__(self, request: Request) -> dict[str, float]:
        form = await request.form()
        return {"logit": await self.score(await form["file"].read())}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PEER_PORT"])})
    serve.run(Inspection.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
