"""`gonogo doctor --repair` on a data dir that was broken on purpose, while nothing runs in it."""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.harness.application import application
from tests.harness.broker import start_valkey
from tests.harness.images import jpegs
from tests.harness.service import Up, gonogo
from worker.upkeep.steps.every import LOSSES, STEPS

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def ended(tmp_path: Path, artifact: Path) -> tuple[Path, str]:
    """A data dir in which nothing runs, and a batch of six that ended in it."""
    (tmp_path / "broker").mkdir()
    broker = start_valkey(tmp_path / "broker", tmp_path / "broker" / "socket")
    try:
        with application(tmp_path / "data", artifact, f"unix://{tmp_path}/broker/socket") as app:
            return tmp_path / "data", app.finished(dict(jpegs(6, seed=11)))["id"]
    finally:
        broker.kill()
        broker.wait(10)


def repairs(data_dir: Path, *more: str) -> dict[str, Any]:
    """State of each repair that found something."""
    done = gonogo(
        "doctor",
        "--repair",
        "--json",
        "--data-dir",
        str(data_dir),
        *more,
        timeout_s=120,
        GONOGO_CLOCK_SETTLE_S="0",
    )
    findings = {entry["name"]: entry for entry in json.loads(done.stdout)}
    return {
        name.removeprefix("repair "): entry["state"]
        for name, entry in findings.items()
        if name.startswith("repair") and entry["state"] != "ok"
    }


def test_a_dry_run_tells_a_repair_mends_and_the_service_goes_on(
    ended: tuple[Path, str], tmp_path: Path
) -> None:
    data_dir, batch_id = ended
    # No sweep ran: the worker that has ended leaves its row, and the batch is not noted as known yet.
    assert set(repairs(data_dir)) <= {"workers", "known"}
    orphan = data_dir / "blobs" / "batches" / "zz" / "bat_zz" / "000000.pack"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    with sqlite3.connect(data_dir / "gonogo.db") as database:
        database.execute("UPDATE batches SET defect = 99 WHERE id = ?", (batch_id,))
        database.execute(
            "INSERT INTO workers (id, host, pid, lanes, device, engine, threads, models, started_at,"
            " last_seen_at, items) VALUES ('w', 'elsewhere', 1, '[]', 'cpu', 'e', 1, '[]', 1, 1, 0)"
        )
    database.close()
    broken = {"counters": "problem", "orphans": "problem", "workers": "problem"}
    assert repairs(data_dir, "--dry-run") == broken
    assert orphan.exists()
    assert repairs(data_dir) == dict.fromkeys(broken, "mended")
    assert not orphan.exists()

    up = Up(data_dir)
    try:
        with up.wait_ready().client() as client:
            verdicts = client.batch(batch_id)["verdicts"]
        assert sum(verdicts[name] for name in ("defect", "no_defect", "review")) == 6
        said = gonogo(
            "doctor",
            "--repair",
            "--data-dir",
            str(data_dir),
            "--url",
            up.url,
            timeout_s=120,
            GONOGO_CLOCK_SETTLE_S="0",
        )
        lines = [line.split() for line in said.stdout.splitlines() if " repair " in line]
        assert len(lines) == len(STEPS) + len(LOSSES)
        waiting = [line for line in lines if line[0] == "skipped"]  # the service has just started
        assert all("the clock must run evenly" in " ".join(line) for line in waiting), said.stdout
        assert {line[0] for line in lines if line not in waiting} == {"ok"}, said.stdout
        assert up.stop() == 0
    finally:
        up.end()


def test_a_data_dir_that_is_not_there_has_nothing_to_repair(tmp_path: Path) -> None:
    assert repairs(tmp_path / "none") == {"repair": "skipped"}
    assert not (tmp_path / "none").exists()
