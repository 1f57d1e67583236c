import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from shared.contract.operating_point import OperatingPoint
from shared.errors import ArtifactError
from shared.registry import versions
from shared.registry.artifact import (
    CARD,
    MANIFEST,
    ONNX,
    Artifact,
    Calibration,
    Preprocessing,
    read_artifact,
    write_artifact,
)

PUBLISHED = Path(versions.__file__).parent / "published"


def write(path: Path, **changes: Any) -> Artifact:
    values: dict[str, Any] = {
        "name": "bolts",
        "onnx": b"graph",
        "weights": b"numbers",
        "preprocessing": Preprocessing(128, 96, 1, full_scale=4095),
        "calibration": Calibration(1.5, -0.25),
        "operating_point": OperatingPoint(0.4, 0.3, 0.6),
        "card": {"accuracy": 0.99},
    }
    return write_artifact(path, **{**values, **changes})


def rewritten(source: Path, target: Path, member: str, data: bytes | None) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = data if name == member else old.read(name)
            if content is not None:
                new.writestr(name, content)
    return target


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = write(tmp_path / "a.gonogo", curves_png=b"png")
    read = read_artifact(tmp_path / "a.gonogo")
    assert read == written
    assert (read.onnx(), read.weights(), read.curves()) == (b"graph", b"numbers", b"png")
    assert read.preprocessing == Preprocessing(128, 96, 1, 4095)
    assert read.calibration == Calibration(1.5, -0.25)
    assert read.operating_point == OperatingPoint(0.4, 0.3, 0.6)
    assert read.card == {"accuracy": 0.99}


def test_the_same_model_gives_the_same_sha256(tmp_path: Path) -> None:
    assert write(tmp_path / "a.gonogo").sha256 == write(tmp_path / "b.gonogo").sha256
    assert write(tmp_path / "c.gonogo", onnx=b"graph2").sha256 != read_artifact(tmp_path / "a.gonogo").sha256


def test_curves_guard_and_self_test_are_optional(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.gonogo")
    assert (plain.curves(), plain.guard(), plain.self_test(), plain.guarded) == (None, None, None, False)
    whole = write(tmp_path / "b.gonogo", curves_png=b"png", guard=b"arrays", self_test=b"images")
    assert (whole.curves(), whole.guard(), whole.self_test()) == (b"png", b"arrays", b"images")
    assert whole.guarded


def test_an_artifact_of_before_the_guard_is_read_as_one_without(tmp_path: Path) -> None:
    write(tmp_path / "a.gonogo")
    with zipfile.ZipFile(tmp_path / "a.gonogo") as archive:
        manifest = json.loads(archive.read(MANIFEST))
    del manifest["guard"], manifest["self_test"]
    changed = rewritten(tmp_path / "a.gonogo", tmp_path / "b.gonogo", MANIFEST, json.dumps(manifest).encode())
    assert not read_artifact(changed).guarded


@pytest.mark.parametrize("member", [ONNX, CARD])
def test_a_member_that_was_changed_or_removed_is_refused(tmp_path: Path, member: str) -> None:
    write(tmp_path / "a.gonogo")
    for data in (b"{}", None):
        with pytest.raises(ArtifactError):
            read_artifact(rewritten(tmp_path / "a.gonogo", tmp_path / "b.gonogo", member, data))


def test_a_member_changed_after_reading_is_refused_on_call(tmp_path: Path) -> None:
    artifact = write(tmp_path / "a.gonogo")
    rewritten(tmp_path / "a.gonogo", tmp_path / "b.gonogo", ONNX, b"other").replace(artifact.path)
    with pytest.raises(ArtifactError, match="sha256"):
        artifact.onnx()


def test_a_flipped_bit_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    data = write(tmp_path / "a.gonogo").path.read_bytes()
    for place in range(0, len(data), 7):
        broken = tmp_path / "b.gonogo"
        broken.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            artifact = read_artifact(broken)
        except ArtifactError:
            continue
        assert artifact.onnx() == b"graph"  # the zip's own dates and flags may differ, the model may not


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 50])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.gonogo").write_bytes(data)
    with pytest.raises(ArtifactError):
        read_artifact(tmp_path / "a.gonogo")


def test_a_missing_file_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        read_artifact(tmp_path / "none.gonogo")


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessing": Preprocessing(0, 96, 1)},
        {"preprocessing": Preprocessing(128, 96, 2)},
        {"preprocessing": Preprocessing(128, 96, 1, full_scale=0)},
    ],
)
def test_numbers_that_cannot_be_served_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError):
        write(tmp_path / "a.gonogo", **changes)


@pytest.mark.parametrize(
    ("threshold", "low", "high"),
    [(0.5, 0.7, 0.6), (1.5, 0.4, 0.6), (0.9, 0.4, 0.6), (0.3, 0.4, 0.6), ("0.5", 0.4, 0.6), (None, 0.4, 0.6)],
)
def test_an_operating_point_whose_parts_do_not_fit_is_refused(
    tmp_path: Path, threshold: Any, low: float, high: float
) -> None:
    write(tmp_path / "a.gonogo")
    with zipfile.ZipFile(tmp_path / "a.gonogo") as archive:
        manifest = json.loads(archive.read(MANIFEST))
    manifest["operating_point"] = {"threshold": threshold, "review_low": low, "review_high": high}
    changed = rewritten(tmp_path / "a.gonogo", tmp_path / "b.gonogo", MANIFEST, json.dumps(manifest).encode())
    with pytest.raises(ArtifactError, match="operating point"):
        read_artifact(changed)


def test_the_published_artifacts_can_be_read() -> None:
    published = [read_artifact(path) for path in PUBLISHED.glob("*/*.gonogo")]
    assert {artifact.name for artifact in published} == {"rendered-parts", "solar-modules"}


def test_another_format_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.gonogo")
    with zipfile.ZipFile(tmp_path / "a.gonogo") as archive:
        manifest = json.loads(archive.read(MANIFEST))
    manifest["format"] = "gonogo-artifact/9"
    changed = rewritten(tmp_path / "a.gonogo", tmp_path / "b.gonogo", MANIFEST, json.dumps(manifest).encode())
    with pytest.raises(ArtifactError, match="format"):
        read_artifact(changed)
