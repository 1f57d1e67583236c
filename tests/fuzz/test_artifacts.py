"""Any change to an artifact: it is read as one whose numbers are usable, or refused as an ArtifactError."""

import copy
import hashlib
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ArtifactError
from shared.registry.artifact import Artifact, read_artifact

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NUMBERS = [
    "width",
    "height",
    "channels",
    "full_scale",
    "scale",
    "offset",
    "threshold",
    "review_low",
    "review_high",
]
fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def members(artifact: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(artifact) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: dict[str, bytes], manifest: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def judged(data: bytes, folder: Path) -> Artifact | None:
    """The artifact, None if it is refused; anything else that is raised fails the test."""
    path = folder / "fuzzed.gonogo"
    path.write_bytes(data)
    try:
        found = read_artifact(path)
    except ArtifactError as error:
        assert str(path.name) not in error.detail
        return None
    point = found.operating_point
    assert 0 <= point.review_low <= point.threshold <= point.review_high <= 1
    assert math.isfinite(found.calibration.offset)
    assert found.calibration.scale > 0
    return found


def test_the_artifact_itself_is_read(members: dict[str, bytes], tmp_path: Path) -> None:
    assert judged(packed(members, json.loads(members["manifest.json"])), tmp_path) is not None


@fuzzed
@given(place=st.integers(0, 10**9), byte=st.integers(1, 255))
def test_fuzz_one_changed_byte(artifact: Path, tmp_path: Path, place: int, byte: int) -> None:
    data = bytearray(artifact.read_bytes())
    data[place % len(data)] ^= byte
    judged(bytes(data), tmp_path)


@fuzzed
@given(keys=st.lists(st.sampled_from([*NUMBERS, "name", "format", "members"]), max_size=3), value=JSON)
def test_fuzz_the_manifests_values(
    members: dict[str, bytes], tmp_path: Path, keys: list[str], value: Any
) -> None:
    manifest = copy.deepcopy(json.loads(members["manifest.json"]))
    for key in keys:
        for group in (manifest, *(part for part in manifest.values() if isinstance(part, dict))):
            if key in group:
                group[key] = value
    judged(packed(members, manifest), tmp_path)


@fuzzed
@given(card=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_fuzz_the_card(members: dict[str, bytes], tmp_path: Path, card: bytes) -> None:
    manifest = json.loads(members["manifest.json"])
    named = {**members, "card.json": card}
    manifest["members"]["card.json"] = hashlib.sha256(card).hexdigest()
    judged(packed(named, manifest), tmp_path)
