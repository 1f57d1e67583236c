"""`gonogo watch-folder` against a running stack."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.images import jpegs
from tests.harness.processes import ROOT, environment, until
from tests.harness.stack import Stack, running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("hot"), [artifact]) as one:
        yield one


def watch(stack: Stack, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    keys = {"GONOGO_URL": stack.url, "GONOGO_API_KEY": stack.key}
    return subprocess.Popen(
        [sys.executable, "-m", "shared.cli.main", "watch-folder", str(folder), *arguments],
        cwd=ROOT, env=environment(**keys), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_files_are_judged_by_lot_and_leave_with_their_results(stack: Stack, tmp_path: Path) -> None:
    for lot in ("7", "8"):
        (tmp_path / f"lot{lot}").mkdir()
        for name, data in jpegs(3, seed=int(lot)):
            (tmp_path / f"lot{lot}" / name).write_bytes(data)
    (tmp_path / "lot8/broken.jpg").write_bytes(b"\xff\xd8\xff rubbish")
    (tmp_path / "notes.txt").write_text("not an image")
    watcher = watch(stack, tmp_path, "--once", "--lot-from", "folder", "--results", "json", "--json")
    told, said = watcher.communicate(timeout=60)
    assert watcher.returncode == 0, said
    assert "notes.txt stays" in said
    ended = {batch["lot"]: (batch["done"], batch["failed"]) for batch in map(json.loads, told.splitlines())}
    assert ended == {"lot7": (3, 0), "lot8": (3, 1)}
    assert (tmp_path / "notes.txt").exists()
    done = sorted(path.relative_to(tmp_path / "done").as_posix() for path in tmp_path.glob("done/*/*.jpg"))
    assert done == [f"lot{lot}/part-0000{n}.jpg" for lot in "78" for n in range(3)]
    item = json.loads((tmp_path / "done/lot7/part-00000.jpg.json").read_text())
    assert item["verdict"] in ("defect", "no_defect", "review")
    assert (tmp_path / "failed/lot8/broken.jpg.reason.txt").read_text().startswith("corrupt_image: ")
    lots = {batch["lot"] for batch in stack.client().batches(limit=100)}
    assert {"lot7", "lot8"} <= lots


def test_a_second_watcher_of_a_folder_is_refused(stack: Stack, tmp_path: Path) -> None:
    first = watch(stack, tmp_path)
    try:
        until((tmp_path / ".gonogo/journal.sqlite").exists, 30, "the first watches")
        second = watch(stack, tmp_path)
        assert "another watcher" in second.communicate(timeout=30)[1]
        assert second.returncode == 2
    finally:
        first.terminate()
        first.communicate(timeout=30)


@pytest.mark.pace
def test_the_verdict_is_there_a_second_after_the_last_byte(stack: Stack, tmp_path: Path) -> None:
    watcher = watch(stack, tmp_path)
    try:
        until((tmp_path / ".gonogo/journal.sqlite").exists, 30, "it watches")
        took = []
        for name, data in jpegs(4, seed=3):
            time.sleep(1)
            began = time.monotonic()
            (tmp_path / name).write_bytes(data)
            until((tmp_path / "done" / name).exists, 30, "it is judged")
            took.append(time.monotonic() - began)
        assert min(took[1:]) < 1.0, took
        tables = [path.read_text().splitlines() for path in tmp_path.glob("done/*.csv")]
        assert sum(len(list(csv.DictReader(table))) for table in tables) == 4
    finally:
        watcher.terminate()
        watcher.communicate(timeout=30)
