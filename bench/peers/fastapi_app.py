"""FastAPI, one image a request. PEER_KIND: `original` (its network and its own preprocessing, torch), `eager`
(our network in eager torch) or `engine` (our engine). `uvicorn bench.peers.fastapi_app:app`."""

import io
import os
from pathlib import Path

import numpy as np
import torch
from fastapi import FastAPI, UploadFile
from PIL import Image

from shared.registry.artifact import read_artifact
from shared.vision import net
from shared.vision.preprocess import decode
from worker.inference.engines.cpu import OnnxEngine

app = FastAPI()
kind = os.environ["PEER_KIND"]
threads = int(os.environ["PEER_THREADS"])
torch.set_num_threads(threads)
artifact = read_artifact(Path(os.environ["PEER_ARTIFACT"]))
if kind == "original":
    model = net.build(net.Shape("original", 224, 224, 3)).eval()
elif kind == "eager":
    model = net.load(artifact.weights(), artifact.card)
else:
    engine = OnnxEngine(artifact, threads=threads)


def _score(data: bytes) -> float:
    if kind == "original":
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((224, 224))
        pixels = torch.from_numpy(np.array(image))[None]
    elif kind == "eager":
        pixels = torch.from_numpy(np.array(decode(data, artifact.preprocessing)))[None]
    else:
        return float(engine.predict(decode(data, artifact.preprocessing)[None])[0])
    with torch.no_grad():
        return float(model(pixels)[0])


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, object]:
    """As the original was written: the image is read and scored inside the request."""
    probability = 1 / (1 + np.exp(-_score(await file.read())))
    return {
        "filename": file.filename,
        "prediction": "defect" if probability >= 0.5 else "no_defect",
        "probability": float(probability),
    }
