"""The guess of a defect's kind, and a promise that strangers void, through HTTP with the shipped model."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import shared
from shared.registry.artifact import Promise, read_artifact, write_artifact
from tests.harness.application import Application, application
from training.synthetic.draw import draw

PUBLISHED = Path(shared.__file__).parent / "registry" / "published"
FRAMES = sorted((Path(__file__).parents[1] / "data" / "frames").iterdir())


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[Application]:
    """With the shipped model, which is made to promise something."""
    folder = tmp_path_factory.mktemp("kinds")
    whole = read_artifact(PUBLISHED / "rendered-parts" / "rendered-parts.gonogo")
    layer = whole.kinds_layer()
    assert layer is not None
    write_artifact(
        folder / "promising.gonogo",
        name=whole.name,
        onnx=whole.onnx(),
        weights=whole.weights(),
        preprocessing=whole.preprocessing,
        calibration=whole.calibration,
        operating_point=whole.operating_point,
        card=whole.card,
        guard=whole.guard(),
        promise=Promise(0.02, 0.95),
        kinds=(whole.kinds, layer),
    )
    with application(
        folder, folder / "promising.gonogo", broker_url, f"sqlite:///{folder}/gonogo.db"
    ) as made:
        yield made


def frames() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FRAMES}


def test_defects_bear_a_guess_of_their_kind_and_other_images_none(app: Application) -> None:
    files, kinds = frames(), {}
    for place in range(30):
        drawn = draw(np.random.default_rng(place), 300)
        buffer = io.BytesIO()
        Image.fromarray(drawn.image).save(buffer, "JPEG", quality=90)
        files[f"part-{place}.jpg"], kinds[f"part-{place}.jpg"] = buffer.getvalue(), drawn.kind
    batch = app.submit(files)
    app.work()
    items = app.results(batch["id"])
    known = read_artifact(PUBLISHED / "rendered-parts" / "rendered-parts.gonogo").kinds
    right = []
    for item in items:
        is_strange = bool({"blank", "unfamiliar"} & {*item["reasons"]})
        assert (item["kind"] is None) == (item["verdict"] == "no_defect" or is_strange)
        if item["verdict"] == "defect":
            right.append(item["kind"] == kinds[item["filename"]])
            assert item["kind"] in known
    assert len(right) > 5 and np.mean(right) > 0.3
    text = app.call("GET", f"/v1/batches/{batch['id']}/results?format=csv").text
    rows = {row["id"]: row["kind"] for row in csv.DictReader(io.StringIO(text))}
    assert rows == {item["id"]: item["kind"] or "" for item in items}


def test_the_same_bytes_are_judged_again_only_where_the_guess_is_needed_and_was_not_kept(
    app: Application,
) -> None:
    files = frames()
    for place in range(50, 60):
        buffer = io.BytesIO()
        Image.fromarray(draw(np.random.default_rng(place), 300).image).save(buffer, "JPEG", quality=90)
        files[f"part-{place}.jpg"] = buffer.getvalue()
    point = {"operating_point": {"threshold": 0.5, "review_band": [0.5, 0.5]}}
    every = {"operating_point": {"threshold": 0.0, "review_band": [0.0, 0.0]}}
    with app.caching():
        first, again, strict = (_judged(app, files, asked) for asked in (point, point, every))
    passed = {item["filename"] for item in first if item["verdict"] == "no_defect"}
    assert 2 <= len(passed) < 10
    assert all(item["cached"] for item in again)
    assert [(item["verdict"], item["kind"]) for item in again] == [
        (item["verdict"], item["kind"]) for item in first
    ]
    assert {item["filename"] for item in strict if not item["cached"]} == passed
    assert all(item["kind"] for item in strict if item["verdict"] == "defect")


def _judged(app: Application, files: dict[str, bytes], asked: Any) -> list[dict[str, Any]]:
    batch = app.submit(files, asked)
    app.work()
    return app.results(batch["id"])


def test_strangers_void_the_promise_unless_the_batch_has_a_point_of_its_own(app: Application) -> None:
    found = []
    for options in ({}, {"operating_point": {"threshold": 0.5, "review_band": [0.1, 0.9]}}):
        batch = app.submit(frames(), options)
        app.work()
        found.append([warning["code"] for warning in app.get(f"/v1/batches/{batch['id']}")["warnings"]])
    assert found == [["unfamiliar_images", "promise_void"], ["unfamiliar_images"]]
