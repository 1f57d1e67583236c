"""The tutorial: Flask takes the image, Celery scores it, one task an image, and the client asks for the result.

`gunicorn bench.peers.tutorial_app:flask_app` and `celery -A bench.peers.tutorial_app:celery_app worker`.
"""

import base64
import functools
import os
from pathlib import Path
from typing import Any

from celery import Celery
from flask import Flask, jsonify, request

from shared.registry.artifact import read_artifact
from shared.vision.preprocess import decode
from worker.inference.engines.cpu import OnnxEngine

broker = os.environ["PEER_BROKER"]
celery_app = Celery("tutorial", broker=broker, backend=os.environ["PEER_BACKEND"])
flask_app = Flask(__name__)


@functools.cache
def _model() -> Any:
    artifact = read_artifact(Path(os.environ["PEER_ARTIFACT"]))
    return artifact, OnnxEngine(artifact, threads=int(os.environ["PEER_THREADS"]))


@celery_app.task(name="predict")
def predict(image: str) -> dict[str, object]:
    artifact, engine = _model()
    logit = float(engine.predict(decode(base64.b64decode(image), artifact.preprocessing)[None])[0])
    return {"prediction": "defect" if logit >= 0 else "no_defect", "logit": logit}


@flask_app.post("/predict")
def submit() -> Any:
    image = base64.b64encode(request.files["file"].read()).decode()
    return jsonify(task_id=predict.delay(image).id), 202


@flask_app.get("/result/<task_id>")
def result(task_id: str) -> Any:
    found = celery_app.AsyncResult(task_id)
    return jsonify(status=found.status, result=found.result if found.successful() else None)
