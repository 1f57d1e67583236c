"""`gonogo watch-folder` against a running stack."""

import csv
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.harness.images import jpegs
from tests.harness.processes import ROOT, environment, until
from tests.harness.stack import Stack


def gonogo(stack: Stack, *arguments: str) -> str:
    """The standard output of a command."""
    keys = {"GONOGO_URL": stack.url, "GONOGO_API_KEY": stack.key}
    command = [sys.executable, "-m", "shared.cli.main", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**keys), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
    parts = (
        "--part-from",
        r"part-0000(?P<part>\d)",
        "--part-rule",
        "all_defect",
        "--expected-views",
        "top, side",
    )
    watcher = watch(stack, tmp_path, "--once", "--lot-from", "folder", *parts, "--results", "json", "--json")
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
    batches = {batch["lot"]: batch for batch in stack.client().batches(limit=100)}
    assert {"lot7", "lot8"} <= {*batches}
    for lot in ("lot7", "lot8"):
        assert batches[lot]["parts"] == {"total": 3, "defect": 0, "no_defect": 0, "review": 3}
        shown = list(stack.client().parts(batches[lot]["id"]))
        assert [part["part_id"] for part in shown] == ["0", "1", "2"]
        assert {tuple(part["missing_views"]) for part in shown} == {("top", "side")}


def test_a_file_of_any_name_is_judged_once_and_a_failed_one_again(stack: Stack, tmp_path: Path) -> None:
    names = [b"Geh\xe4use.jpg", b"a%22b.jpg", b'a"b.jpg', b"x\ny.jpg"]
    files = dict(zip(map(os.fsdecode, names), (data for _, data in jpegs(4, seed=21)), strict=True))
    files["broken.jpg"] = b"\xff\xd8\xff rubbish"
    judged = list[set[str]]()
    for _ in range(2):
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        watcher = watch(stack, tmp_path, "--once", "--results", "json", "--json")
        told, said = watcher.communicate(timeout=60)
        assert watcher.returncode == 0, said
        judged.append({batch["batch"] for batch in map(json.loads, told.splitlines())})
        assert [path.name for path in tmp_path.glob("*.jpg")] == []
    for name in set(files) - {"broken.jpg"}:
        stem = name.removesuffix(".jpg")
        first, second = (
            json.loads((tmp_path / f"done/{each}.jpg.json").read_text()) for each in (stem, f"{stem}~2")
        )
        assert second == {**first, "duplicate": True}
        assert first["sha256"] == hashlib.sha256(files[name]).hexdigest()
        assert first["verdict"] in ("defect", "no_defect", "review")
    reasons = sorted(path.read_text().partition(":")[0] for path in tmp_path.glob("failed/*.reason.txt"))
    assert reasons == ["corrupt_image"] * 2
    (again,) = judged[1]
    assert [item["filename"] for item in stack.client().items(again)] == ["broken.jpg"]


def test_flags_of_submit_say_how_views_make_the_verdict_of_a_part(stack: Stack, tmp_path: Path) -> None:
    folder, target = tmp_path / "images", tmp_path / "out.parquet"
    folder.mkdir()
    for (_, data), name in zip(jpegs(2, seed=18), ("a.jpg", "b.jpg"), strict=True):
        (folder / name).write_bytes(data)
    (tmp_path / "parts.csv").write_text("filename,part_id,view\na.jpg,SN-1,top\nb.jpg,SN-1,left\n")
    asked = ("--manifest", str(tmp_path / "parts.csv"), "--output", str(target), "--json")
    rule = ("--part-rule", "all_defect", "--expected-views", "top,left,right")
    batch = json.loads(gonogo(stack, "submit", str(folder), *asked, *rule))
    assert batch["parts"] == {"total": 1, "defect": 0, "no_defect": 0, "review": 1}
    (part,) = json.loads(gonogo(stack, "parts", batch["id"], "--json"))
    assert (part["reasons"][0], part["missing_views"]) == ("missing_view", ["right"])
    assert "parts    1: 0 defect, 0 no_defect, 1 review" in gonogo(stack, "status", batch["id"])
    assert pyarrow.parquet.read_table(target)["part_id"].to_pylist() == ["SN-1", "SN-1"]


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
