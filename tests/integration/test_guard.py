"""Frames without a part, through HTTP with the shipped model: review with a reason, and never a plain verdict."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import shared
from shared.lifecycle.recount import recount
from shared.registry.artifact import read_artifact, write_artifact
from shared.store.tables import Batch
from shared.vision.graph import Graph
from shared.vision.known_logits import read_self_test
from tests.harness.application import Application, application
from tests.harness.artifacts import write_untrained
from training.synthetic.draw import draw

PUBLISHED = Path(shared.__file__).parent / "registry" / "published"
FRAMES = sorted((Path(__file__).parents[1] / "data" / "frames").iterdir())
OCTETS = {"content_type": "application/octet-stream"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("guard")
    artifact = PUBLISHED / "rendered-parts" / "rendered-parts.gonogo"
    with application(folder, artifact, broker_url, f"sqlite:///{folder}/gonogo.db") as made:
        yield made


def parts(count: int) -> dict[str, bytes]:
    found = {}
    for place in range(count):
        buffer = io.BytesIO()
        Image.fromarray(draw(np.random.default_rng(place), 300).image).save(buffer, "JPEG", quality=90)
        found[f"part-{place}.jpg"] = buffer.getvalue()
    return found


def judged(app: Application, files: dict[str, bytes], **options: Any) -> dict[str, Any]:
    batch = app.submit(files, options)
    app.work()
    return dict(app.get(f"/v1/batches/{batch['id']}"))


def test_a_lens_cap_never_passes_a_part(app: Application) -> None:
    batch = judged(app, {path.name: path.read_bytes() for path in FRAMES})
    items = app.results(batch["id"])
    assert [item["verdict"] for item in items] == ["review"] * len(FRAMES)
    assert all({"blank", "unfamiliar"} & {*item["reasons"]} for item in items)
    assert batch["verdicts"] == {"defect": 0, "no_defect": 0, "review": len(FRAMES)}
    assert [(warning["code"], warning["detail"]) for warning in batch["warnings"]] == [
        ("unfamiliar_images", "4 of 4 images are unlike those this model was trained on")
    ]


def test_parts_of_the_kind_that_it_was_trained_on_pass(app: Application) -> None:
    batch = judged(app, parts(40))
    items = app.results(batch["id"])
    assert sum(bool({"blank", "unfamiliar"} & {*item["reasons"]}) for item in items) <= 2
    assert batch["warnings"] == []
    low, high = batch["operating_point"]["review_band"]
    for item in items:
        assert ("low_confidence" in item["reasons"]) == (low <= item["score"] <= high)
        assert (item["verdict"] == "review") == bool(item["reasons"])


def test_two_strangers_among_many_parts_are_no_warning(app: Application) -> None:
    frames = {path.name: path.read_bytes() for path in FRAMES[:2]}
    assert judged(app, frames | parts(2))["warnings"] == []


def test_the_count_of_strangers_is_recounted_like_the_others(app: Application) -> None:
    batch = judged(app, {path.name: path.read_bytes() for path in FRAMES})
    with app.database.write() as connection:
        connection.execute(Batch.__table__.update().values(unfamiliar=9))  # type: ignore[attr-defined]
        assert recount(connection, batch["id"], mend=True) == {"unfamiliar": (9, 4)}
        assert recount(connection, batch["id"]) == {}


def test_reasons_are_in_the_csv(app: Application) -> None:
    batch = judged(app, {path.name: path.read_bytes() for path in FRAMES})
    answer = app.call("GET", f"/v1/batches/{batch['id']}/results?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert all(re.fullmatch(r"(blank|unfamiliar)( low_confidence)?", row["reasons"]) for row in rows)


def test_an_artifact_without_a_guard_is_taken_only_if_asked_and_its_batches_say_so(
    app: Application, tmp_path: Path
) -> None:
    data = write_untrained(tmp_path / "bare.gonogo", name="bare", seed=5, guard=None).read_bytes()
    refused = app.call("POST", "/v1/models", data=data, **OCTETS)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "no_guard")
    taken = app.call("POST", "/v1/models?without_guard=true", data=data, **OCTETS)
    assert (taken.status_code, taken.get_json()["guarded"]) == (201, False)
    app.try_model(taken.get_json()["id"])
    batch = judged(app, parts(2), model=taken.get_json()["id"])
    assert [warning["code"] for warning in batch["warnings"]] == ["no_guard"]


@pytest.mark.parametrize("name", ["rendered-parts", "solar-modules"])
def test_without_its_guard_a_shipped_model_scores_the_same(name: str, tmp_path: Path) -> None:

    whole = read_artifact(PUBLISHED / name / f"{name}.gonogo")
    bare = write_artifact(
        tmp_path / "bare.gonogo",
        name=whole.name,
        onnx=whole.onnx(),
        weights=whole.weights(),
        preprocessing=whole.preprocessing,
        calibration=whole.calibration,
        operating_point=whole.operating_point,
        card=whole.card,
    )
    data = whole.self_test()
    assert data is not None and not bare.guarded
    test = read_self_test(data)
    with_features, _ = Graph(whole, threads=1).logits_and_features(test.images)
    for logits in (Graph(bare, threads=1).logits(test.images), with_features):
        np.testing.assert_allclose(logits, test.logits, atol=1e-4)
