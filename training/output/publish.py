"""Put an artifact into a running service; a worker loads it by trial before it may be activated."""

import time
from pathlib import Path

from shared.client.client import Client
from shared.contract.model_versions import ModelPayload
from training.artifacts import artifact_at

TRIAL_S = 180.0


def publish(path: Path, *, url: str, key: str | None, activate: bool) -> str:
    """Upload a .gonogo file, or the only one in a run folder; a sentence on what the service made of it.

    Raises ArtifactError before anything is sent where the artifact is not whole, and the client's errors
    after.
    """
    artifact = artifact_at(path)
    with Client(url, key) as client:
        model = client.upload_model(artifact.path)
        if activate:
            model = client.activate_model(_tried(client, model)["id"])
    state = "active" if model["active"] else "not active yet"
    return f"{artifact.name} is {model['id']}, {state}, sha256 {artifact.sha256}"


def _tried(client: Client, model: ModelPayload) -> ModelPayload:
    """The model version after its trial load, whatever the outcome; the version as it is if no worker tries it in
    TRIAL_S seconds."""
    ends_at = time.monotonic() + TRIAL_S
    while model["status"] == "testing" and time.monotonic() < ends_at:
        time.sleep(0.5)
        model = next(known for known in client.models() if known["id"] == model["id"])
    return model
