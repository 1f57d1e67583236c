"""A trained artifact goes into a live service, and the service says what `evaluate` says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.artifact import read_artifact
from shared.decision import decide
from shared.errors import ArtifactError, ItemError
from tests.e2e.running_stack import Up, pictures
from training.data import Record
from training.evaluate import score_records
from training.publish import publish


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path / "data")
    yield up.wait_ready()
    up.end()


def test_the_live_service_decides_as_evaluate_does(service: Up, artifact: Path, tmp_path: Path) -> None:
    key = (service.data_dir / "admin-key").read_text().strip()
    said = publish(artifact, url=service.url, key=key, activate=True)
    assert said.endswith(read_artifact(artifact).sha256)

    shown = [*pictures(150), ("broken.png", b"\x89PNG\r\n\x1a\nbroken")]
    records = []
    for name, data in shown:
        (tmp_path / name).write_bytes(data)
        records.append(Record(tmp_path / name, 0, name))
    expected = dict(
        zip([name for name, _ in shown], score_records(read_artifact(artifact), records), strict=True)
    )

    with service.client() as client:
        batch = client.wait(client.submit(shown)["id"], timeout_s=90)
        items = list(client.items(batch["id"]))
    assert len(items) == 151
    point = read_artifact(artifact).operating_point
    for item in items:
        score = expected[str(item["filename"])]
        if isinstance(score, ItemError):
            assert item["error"] is not None
            assert item["error"]["code"] == score.code
            continue
        assert item["score"] == pytest.approx(score, abs=1e-6)
        assert item["verdict"] == decide(score, point)


def test_what_is_no_artifact_is_never_sent(tmp_path: Path) -> None:
    (tmp_path / "a.gonogo").write_bytes(b"nothing")
    with pytest.raises(ArtifactError):
        publish(tmp_path / "a.gonogo", url="http://127.0.0.1:9", key=None, activate=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ArtifactError, match="not one"):
        publish(empty, url="http://127.0.0.1:9", key=None, activate=False)
