"""Row 1, with a shadow: a worker dies of a candidate, and each image keeps its verdict."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.lifecycle import shadows
from shared.registry import versions
from shared.registry.artifact import read_artifact
from tests.faults.rig import CHUNK_ITEMS, Rig
from tests.harness.artifacts import write_untrained
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)
KILLS = 3


@pytest.mark.row(1)
def test_a_worker_that_dies_of_a_candidate_loses_no_verdict(ill: Rig, many: Many, tmp_path: Path) -> None:
    made = read_artifact(write_untrained(tmp_path / "candidate.gonogo", seed=7))
    candidate = versions.register(ill.database, ill.blobs, made)
    ill.restart("bulk", f"worker.shadow=kill*{KILLS}")
    asked = json.dumps({"candidate": candidate, "share": 1.0}).encode()
    status, _, body = ill.stack.request("POST", "/v1/shadows", asked, Content_Type="application/json")
    assert status == 201, body
    path = f"/v1/shadows/{json.loads(body)['id']}"
    count = 4 * CHUNK_ITEMS
    first = ill.submit(many(count))
    assert ill.finish(first).succeeded == count
    until(lambda: ill.fired("worker.shadow") == KILLS, 90, "workers die of the candidate")
    second = ill.submit(many(count))
    assert ill.finish(second).succeeded == count
    least = 2 * count - KILLS * shadows.AT_ONCE
    until(lambda: ill.stack.get(path)[1]["images"] >= least, 90, "the other images are scored")
    assert ill.stack.request("POST", f"{path}/stop")[0] == 200
    ill.proof(f"{KILLS} workers were killed while they scored for a shadow")
    ill.check(most_extra=0)
