"""A tenant that floods the lane `interactive` does not keep another tenant's prediction waiting: the real processes.

Row 44 (tests/faults) holds the times, with 100,000 images and silent receivers.
"""

from pathlib import Path

import pytest

from tests.harness.flood import archive, key_of, predict, submit
from tests.harness.hooks import child_environment
from tests.harness.images import jpegs
from tests.harness.processes import until
from tests.harness.stack import Stack, running


def _answers(stack: Stack) -> bool:
    try:
        return bool(stack.get("/livez")[0] == 200)
    except OSError:
        return False


@pytest.mark.pace
@pytest.mark.timeout(120)
def test_predictions_are_answered_while_another_tenants_images_wait(tmp_path: Path, artifact: Path) -> None:
    [(_, image)] = jpegs(1, seed=1)
    points = tmp_path / "points"
    points.mkdir()
    slow = child_environment(GONOGO_FAILPOINTS="worker.claimed=sleep0.05", GONOGO_FAILPOINTS_DIR=str(points))
    with running(tmp_path, [artifact], "web", chunk_items=8, lease_s=30.0) as stack:
        stack.start("interactive", **slow)
        until(lambda: _answers(stack), 60, "the web answers")
        flood, other = key_of(stack, "flood"), key_of(stack, "other")
        predict(stack, other, image)  # the worker has loaded its model
        batch = submit(stack, flood, archive(800))  # 100 chunks of at least 0.05 s
        for _ in range(5):
            predict(stack, other, image)
            path = f"/v1/batches/{batch['id']}"
            counts = stack.get(path, Authorization=f"Bearer {flood}")[1]["counts"]
            assert counts["queued"] > 100, "the prediction waited for the flood"
