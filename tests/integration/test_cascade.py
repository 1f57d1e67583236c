"""A model with two networks in the service: each verdict says which of them judged."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from shared.registry.artifact import read_artifact
from shared.registry.trial import refusal
from shared.registry.versions import register
from shared.vision.graph import Graph
from shared.vision.preprocess import decode
from tests.harness.application import Application
from tests.harness.artifacts import write_cascade
from tests.harness.images import jpegs
from worker.inference.engines.gpu import TorchEngine


def test_the_evidence_of_a_verdict_says_which_network_judged(app: Application, tmp_path: Path) -> None:
    files = dict(jpegs(12))
    sure = read_artifact(write_cascade(tmp_path / "sure.gonogo", unsure=1e-9))
    images = np.stack([decode(data, sure.preprocessing) for data in files.values()])
    odds = np.abs(Graph(sure, threads=1).logits(images))
    bound = float(np.sort(odds)[5:7].mean())
    path = write_cascade(tmp_path / "cascade.gonogo", unsure=bound)
    assert refusal(path, memory_bytes=4 * 2**30, seconds=120) is None
    artifact = read_artifact(path)
    wanted = dict(zip(files, ["strong" if value < bound else "fast" for value in odds], strict=True))
    assert sorted(wanted.values()) == ["fast"] * 6 + ["strong"] * 6

    model = register(app.database, app.service.blobs, artifact)
    batch = app.finished(files, {"model": model})
    items = app.results(batch["id"])
    assert {item["filename"]: item["network"] for item in items} == wanted
    served = Graph(artifact, threads=1).logits(images)
    assert [item["raw_score"] for item in items] == pytest.approx(served.tolist(), abs=1e-4)
    rows = csv.DictReader(io.StringIO(app.call("GET", f"/v1/batches/{batch['id']}/results?format=csv").text))
    assert {row["filename"]: row["network"] for row in rows} == wanted

    torch = TorchEngine(artifact, device="cpu").explain(images)
    for one, other in zip(torch, Graph(artifact, threads=1).outputs(images), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_model_with_one_network_names_none(app: Application) -> None:
    batch = app.finished(dict(jpegs(1)))
    assert [item["network"] for item in app.results(batch["id"])] == [None]
