"""Row 43: PgBouncer in transaction mode between the service and PostgreSQL."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.rig import CHUNK_ITEMS, Rig, rig
from tests.harness.databases import empty_database_url
from tests.harness.pooler import needs_pooler, through_pooler
from tests.harness.processes import ROOT

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(400)
STORE = [
    "tests/unit/shared/store",
    "tests/integration/lifecycle",
    "tests/integration/test_micro_batches.py",
]


@pytest.mark.row(43)
def test_a_service_behind_a_pooler_loses_and_doubles_nothing(
    artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig]
) -> None:
    needs_pooler()
    with (
        empty_database_url("postgresql", tmp_path) as url,
        rig(tmp_path, [artifact], "postgresql", database_url=through_pooler(url)) as ill,
    ):
        report_rig(ill)
        batches = [ill.submit(many(6 * CHUNK_ITEMS)) for _ in range(3)]
        for batch_id in batches:
            assert ill.finish(batch_id, 120).succeeded == 6 * CHUNK_ITEMS
        ill.proof("every connection of the service went through PgBouncer in transaction mode")
        ill.check(most_extra=0)


@pytest.mark.row(43)
def test_the_tests_of_the_store_pass_behind_a_pooler() -> None:
    needs_pooler()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "postgresql", *STORE]
    environment = {**os.environ, "TEST_POOLER": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=390, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 20
