"""Row 35: a power cut leaves the log of the embedded queue unreadable."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.images import jpegs
from tests.harness.processes import wait_until_gone
from tests.harness.service import Up

pytestmark = pytest.mark.timeout(170)


def zeros_at_the_end(folder: Path) -> None:
    """The log grew, and its last block was never written."""
    for log in folder.glob("*.incr.aof"):
        with log.open("ab") as file:
            file.write(bytes(4096))


def manifest_is_empty(folder: Path) -> None:
    (folder / "appendonly.aof.manifest").write_bytes(b"")


def manifest_is_zeros(folder: Path) -> None:
    manifest = folder / "appendonly.aof.manifest"
    manifest.write_bytes(bytes(manifest.stat().st_size))


def log_is_gone(folder: Path) -> None:
    for log in folder.glob("*.incr.aof"):
        log.unlink()


@pytest.fixture
def ups() -> Iterator[list[Up]]:
    started: list[Up] = []
    yield started
    for up in started:
        up.end()


@pytest.mark.row(35)
@pytest.mark.parametrize("damage", [zeros_at_the_end, manifest_is_empty, manifest_is_zeros, log_is_gone])
def test_the_service_starts_on_an_unreadable_queue_and_loses_nothing(
    damage: Callable[[Path], None], tmp_path: Path, ups: list[Up]
) -> None:
    up = Up(
        tmp_path / "data", GONOGO_FAILPOINTS="worker.claimed=sleep0.3", GONOGO_FAILPOINTS_DIR=str(tmp_path)
    )
    ups.append(up)
    with up.wait_ready().client() as client:
        batch_id = client.submit(jpegs(600))["id"]
    up.end()
    assert wait_until_gone(up.data_dir, 10) == []
    damage(up.data_dir / "valkey" / "appendonlydir")

    again = Up(up.data_dir)
    ups.append(again)
    with again.wait_ready().client() as client:
        batch = client.wait(batch_id, timeout_s=120)
    assert batch["counts"]["succeeded"] == batch["counts"]["total"] == 600
    assert [line for line in again.lines if "the queue's log cannot be read" in line]
    (aside,) = up.data_dir.glob("valkey-unreadable-*")
    assert (aside / "appendonlydir").is_dir()
    assert again.stop() == 0


@pytest.mark.row(35)
def test_a_broker_that_ends_for_another_reason_keeps_its_log(tmp_path: Path, ups: list[Up]) -> None:
    up = Up(tmp_path / "data")
    ups.append(up)
    up.wait_ready()
    up.end()
    assert wait_until_gone(up.data_dir, 10) == []
    again = Up(up.data_dir)
    ups.append(again)
    again.wait_ready()
    assert list(up.data_dir.glob("valkey-unreadable-*")) == []
