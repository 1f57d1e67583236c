import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.contract.operating_point import OperatingPoint
from shared.errors import ArtifactError
from shared.registry import strict, versions
from shared.registry.artifact import (
    CARD,
    MANIFEST,
    ONNX,
    Artifact,
    Calibration,
    Preprocessing,
    Promise,
    read_artifact,
    write_artifact,
)
from tests.harness.forged import forge

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


def test_a_promise_and_kinds_are_read_back_and_older_programs_read_artifacts_without(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.gonogo")
    assert (plain.promise, plain.kinds, plain.kinds_layer()) == (None, (), None)
    with zipfile.ZipFile(plain.path) as archive:
        assert not {"promise", "kinds"} & json.loads(archive.read(MANIFEST)).keys()
    read = write(tmp_path / "more.gonogo", promise=Promise(0.01, 0.95), kinds=(("hole", "crack"), b"layer"))
    assert (read.promise, read.kinds) == (Promise(0.01, 0.95), ("hole", "crack"))
    assert read.kinds_layer() == b"layer"


@pytest.mark.parametrize(
    "names",
    [("hole",), ("hole", "hole"), ("hole", " crack"), ("hole", ""), ("hole", "a\nb"), ("hole", "x" * 65)],
)
def test_kinds_that_could_not_be_shown_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ArtifactError, match="names"):
        write(tmp_path / "a.gonogo", kinds=(names, b"layer"))


def test_a_promise_of_more_than_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="max_escape_rate"):
        write(tmp_path / "a.gonogo", promise=Promise(1.5, 0.95))


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


def changed(folder: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """An artifact whose manifest and members went through `change`; its hashes are right."""
    source = write(folder / "whole.gonogo", curves_png=b"png", guard=b"arrays", self_test=b"images").path
    return forge(source, folder / "changed.gonogo", change)


def with_member(name: str, data: bytes) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        members[name] = data

    return change


def with_value(path: str, value: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            manifest = manifest[name]
        manifest[last] = value

    return change


def refusal(path: Path) -> str:
    """The sentence with which an artifact is refused; it holds no file name and no words of Python."""
    with pytest.raises(ArtifactError) as caught:
        read_artifact(path)
    said = caught.value.detail
    for word in (
        path.name,
        path.stem,
        "__init__",
        "argument",
        "Error",
        "object at",
        "None",
        "codec",
        "NoneType",
    ):
        assert word not in said
    assert len(said) < 400
    return said


BAD_JSON = {
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep but whole": b'{"a":' + b"[" * 70 + b"]" * 70 + b"}",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "too large a number": b'{"a": 1e999}',
    "too many digits": b'{"a": ' + b"9" * 5000 + b"}",
    "too long": b'{"a": "' + b"x" * strict.MAX_JSON_BYTES + b'"}',
    "NUL": b'{"a": "\\u0000"}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "repeated": b'{"a": 1, "a": 2}',
    "not UTF-8": b'{"a": "\xff"}',
    "empty": b"",
    "cut": b'{"a": ',
    "no object": b"[]",
}


@pytest.mark.parametrize("name", [MANIFEST, CARD])
@pytest.mark.parametrize("data", BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_is_no_bounded_object_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    path = changed(tmp_path, with_member(CARD, data))
    if name == MANIFEST:
        path = rewritten(tmp_path / "whole.gonogo", path, MANIFEST, data)
    assert name in refusal(path)


def test_a_manifest_may_be_less_deep_than_a_card(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert read_artifact(changed(tmp_path, with_member(CARD, json.dumps({"a": deep}).encode()))).card == {
        "a": deep
    }
    assert "32 levels" in refusal(changed(tmp_path, with_value("calibration.scale", deep)))


def objects(manifest: dict[str, Any]) -> list[str]:
    return [name for name, value in manifest.items() if isinstance(value, dict)]


def test_a_manifest_with_an_unknown_member_at_any_depth_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(changed(tmp_path, lambda manifest, members: None)) as archive:
        known = objects(json.loads(archive.read(MANIFEST)))
    assert len(known) == 6
    for parent in ["", *(f"{name}." for name in known if name != "members")]:
        assert "foo" in refusal(changed(tmp_path, with_value(f"{parent}foo", 1))), parent
    assert "foo.bin" in refusal(changed(tmp_path, with_member("foo.bin", b"x")))


@pytest.mark.parametrize(
    "path",
    ["name", "preprocessing", "preprocessing.width", "calibration.offset", "operating_point.review_low"],
)
def test_a_manifest_without_a_member_that_it_needs_is_refused(tmp_path: Path, path: str) -> None:
    *parents, last = path.split(".")

    def drop(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        for name in parents:
            manifest = manifest[name]
        del manifest[last]

    assert f"{last} is missing" in refusal(changed(tmp_path, drop))


TYPED = (
    "format name preprocessing preprocessing.width preprocessing.channels preprocessing.full_scale calibration "
    "calibration.scale calibration.offset operating_point operating_point.threshold guard guard.member self_test "
    "self_test.member"
)


@pytest.mark.parametrize("path", TYPED.split())
@pytest.mark.parametrize("value", [True, "x", -1, 10**200, 1e300, [], [1], {}, {"member": {}}], ids=repr)
def test_a_member_of_another_type_is_refused(tmp_path: Path, path: str, value: Any) -> None:
    if (path, value) in [("name", "x"), ("calibration.offset", -1)]:
        read_artifact(changed(tmp_path, with_value(path, value)))
    else:
        refusal(changed(tmp_path, with_value(path, value)))


@pytest.mark.parametrize(
    ("scale", "offset"), [(-1, 0), (0, 0), (-0.0, 0), (1e-300, 0), (1e6, 0), (1, 1e6), (1, -1e6)]
)
def test_a_calibration_that_turns_or_flattens_scores_is_refused(
    tmp_path: Path, scale: float, offset: float
) -> None:
    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        manifest["calibration"] = {"scale": scale, "offset": offset}

    assert "calibration" in refusal(changed(tmp_path, change))


def test_a_zip_file_with_a_member_that_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    for name in ("other.bin", "folder/", MANIFEST):
        path = changed(tmp_path, lambda manifest, members: None)
        with zipfile.ZipFile(path) as archive:
            again = archive.read(MANIFEST)
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # zipfile warns of the name that comes twice
            archive.writestr(name, again if name == MANIFEST else b"")
        assert "zip file" in refusal(path)


def test_a_broken_zip_file_is_refused_in_words_of_its_own(tmp_path: Path) -> None:
    data = changed(tmp_path, lambda manifest, members: None).read_bytes()
    broken = tmp_path / "broken.gonogo"
    for place in range(0, len(data), 5):
        for bit in (0x01, 0x10, 0xFF):
            broken.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
            try:
                read_artifact(broken)
            except ArtifactError:
                refusal(broken)
