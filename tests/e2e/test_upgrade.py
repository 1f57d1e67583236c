"""A data directory that an earlier release left, with a finished and a waiting batch, goes on under `gonogo up`."""

import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.harness.schemas import KEPT
from tests.harness.service import Up, gonogo

SAME = ("id", "filename", "status", "verdict", "score", "sha256", "created_at")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data directory that the release with schema 0002 left when it was killed."""
    folder = tmp_path / "data"
    with tarfile.open(KEPT / "0002-data-dir.tar.gz") as kept:
        kept.extractall(folder, filter="data")
    return folder


@pytest.fixture
def ups() -> Iterator[list[Up]]:
    started: list[Up] = []
    yield started
    for up in started:
        up.end()


def test_an_older_data_dir_keeps_its_verdicts_and_ends_its_waiting_work(
    data_dir: Path, ups: list[Up]
) -> None:
    facts: dict[str, Any] = json.loads((KEPT / "0002.json").read_text())["sqlite"]
    # Its finished batch is past its retention one day: nothing is deleted while the clock settles.
    ups.append(Up(data_dir, GONOGO_CLOCK_SETTLE_S="86400"))
    with ups[0].wait_ready().client() as client:
        done = client.batch(facts["done"])
        assert (done["status"], done["counts"], done["verdicts"]) == (
            "completed", facts["counts"], facts["verdicts"]
        )  # fmt: skip
        items = [dict(item) for item in client.items(facts["done"])]
        assert [{name: item[name] for name in SAME} for item in items] == facts["items"]
        waiting = client.wait(facts["waiting"], timeout_s=90)
        assert waiting["counts"]["succeeded"] == waiting["counts"]["total"] == 4
    assert ups[0].stop() == 0


def test_a_newer_data_dir_is_refused_in_one_line(data_dir: Path, ups: list[Up]) -> None:
    with closing(sqlite3.connect(data_dir / "gonogo.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    ups.append(Up(data_dir))
    assert ups[0].process.wait(60) == 1
    assert "the database has schema 9999, and this release knows" in ups[0].lines[-1]
    assert not any("Traceback" in line for line in ups[0].lines)
    found = gonogo("doctor", "--data-dir", str(data_dir))
    assert "problem  database" in found.stdout and "schema 9999" in found.stdout
