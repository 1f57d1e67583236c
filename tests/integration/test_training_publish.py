"""A trained artifact goes into a live service, and the service says what `evaluate` says."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import ArtifactError, ItemError
from shared.registry.artifact import read_artifact
from tests.harness.images import jpegs
from tests.harness.service import Up
from training.data.records import Record
from training.output.publish import publish
from training.proof.evaluate import Judged, judge_records
from training.proof.live import compare


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path / "data")
    try:
        yield up.wait_ready()
    finally:
        up.end()


def test_the_live_service_is_asked_once_it_holds_the_artifact_and_decides_as_evaluate_does(
    service: Up, artifact: Path, tmp_path: Path
) -> None:
    key = (service.data_dir / "admin-key").read_text().strip()
    with pytest.raises(ValueError, match="publish it first"):
        compare(read_artifact(artifact), [], [], url=service.url, key=key)

    said = publish(artifact, url=service.url, key=key, activate=True)
    assert said.endswith(read_artifact(artifact).sha256)

    shown = [*jpegs(150), ("broken.png", b"\x89PNG\r\n\x1a\nbroken")]
    records = []
    for name, data in shown:
        (tmp_path / name).write_bytes(data)
        records.append(Record(tmp_path / name, 0, name))
    outcomes = judge_records(read_artifact(artifact), records)
    seen = compare(read_artifact(artifact), records, outcomes, url=service.url, key=key)
    assert (seen.pictures, seen.different) == (151, 0)
    assert seen.score_difference < 1e-6

    first = outcomes[0]
    assert isinstance(first, Judged)
    score = 1 - first.score if abs(first.score - 0.5) > 0.1 else 0.99
    otherwise = [replace(first, score=score), *outcomes[1:]]
    assert (
        compare(read_artifact(artifact), records, otherwise, url=service.url, key=key).score_difference > 0.1
    )
    mistaken = [ItemError("too_large", "said to be"), *outcomes[1:-1], Judged(0.5)]
    assert compare(read_artifact(artifact), records, mistaken, url=service.url, key=key).different == 2


def test_what_is_no_artifact_is_never_sent(tmp_path: Path) -> None:
    (tmp_path / "a.gonogo").write_bytes(b"nothing")
    with pytest.raises(ArtifactError):
        publish(tmp_path / "a.gonogo", url="http://127.0.0.1:9", key=None, activate=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ArtifactError, match="not one"):
        publish(empty, url="http://127.0.0.1:9", key=None, activate=False)
