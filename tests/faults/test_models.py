"""Row 34: a model file that is corrupt, or swapped while it is in use."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from shared.registry import activations, versions
from shared.registry.artifact import read_artifact
from shared.store.tables import ModelVersion
from tests.faults.rig import CHUNK_ITEMS, Rig
from tests.harness.artifacts import write_untrained
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = [pytest.mark.timeout(170), pytest.mark.parametrize("shared", ["sqlite"], indirect=True)]


@pytest.fixture
def model_file(ill: Rig) -> Iterator[Path]:
    """The file of the active model; put right again at the end."""
    with ill.database.read() as connection:
        active = activations.active_id(connection)
        sha256 = connection.scalar(select(ModelVersion.sha256).where(ModelVersion.id == active))
    path = ill.blobs.artifact_path(str(sha256))
    whole = path.read_bytes()
    yield path
    path.write_bytes(whole)


@pytest.mark.row(34)
def test_a_truncated_model_gives_no_verdict_until_it_is_whole(ill: Rig, many: Many, model_file: Path) -> None:
    whole = model_file.read_bytes()
    model_file.write_bytes(whole[: len(whole) // 2])
    refused = ill.event("model_refused")
    ill.restart("bulk", wait=False)
    batch_id = ill.submit(many(2 * CHUNK_ITEMS))
    until(lambda: ill.event("model_refused") > refused, 60, "a worker refuses the model")
    time.sleep(2)
    assert ill.batch(batch_id).succeeded == ill.batch(batch_id).failed == 0
    model_file.write_bytes(whole)
    took = ill.time_until(lambda: ill.batch(batch_id).finished_at is not None, 60, "the mended model is used")
    ill.proof("half of the model's file was cut off: refused, nothing decided")
    ill.recovered(took, 35)
    ill.restart("bulk")
    ill.check(most_extra=0)


@pytest.mark.row(34)
def test_a_model_swapped_in_the_middle_is_not_used(
    ill: Rig, many: Many, model_file: Path, tmp_path: Path
) -> None:
    whole = model_file.read_bytes()
    ill.restart("bulk", "worker.claimed=sleep0.2")
    batch_id = ill.submit(many(20 * CHUNK_ITEMS))
    until(lambda: ill.batch(batch_id).succeeded, 60, "the first chunk is done")
    other = write_untrained(tmp_path / "other.gonogo", seed=5, name="other")
    model_file.write_bytes(other.read_bytes())
    ill.finish(batch_id)
    assert {item.model_sha256 for item in ill.items(batch_id)} == {model_file.stem}
    refused = ill.event("model_refused")
    ill.restart("bulk", wait=False)
    late = ill.submit(many(CHUNK_ITEMS))
    until(lambda: ill.event("model_refused") > refused, 60, "a new worker refuses the other model")
    assert ill.batch(late).succeeded == 0
    ill.proof("the file was swapped after the first chunk: the loaded version went on, no new one began")
    model_file.write_bytes(whole)
    ill.finish(late)
    ill.restart("bulk")
    ill.check(most_extra=0)


@pytest.mark.row(34)
def test_a_batch_of_a_corrupt_model_holds_up_no_other(ill: Rig, many: Many, tmp_path: Path) -> None:
    path = write_untrained(tmp_path / "bad.gonogo", seed=34, name="bad")
    identifier = versions.register(ill.database, ill.blobs, read_artifact(path))
    stored = ill.blobs.artifact_path(read_artifact(path).sha256)
    whole = stored.read_bytes()
    stored.write_bytes(whole[:-100])
    ill.restart("bulk")
    stuck = ill.submit(many(2 * CHUNK_ITEMS), model=identifier)
    good = ill.submit(many(4 * CHUNK_ITEMS))
    took = ill.time_until(lambda: ill.batch(good).finished_at is not None, 60, "the good batch ends")
    assert ill.batch(stuck).finished_at is None
    stored.write_bytes(whole)
    ill.finish(stuck)
    ill.proof("a batch of a model whose file is corrupt was queued first")
    ill.recovered(took, 35)
    ill.check(most_extra=0)
