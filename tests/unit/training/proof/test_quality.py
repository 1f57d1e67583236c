"""`make quality` knows the rows that are left, and says the time and memory that it needs."""

import json
from pathlib import Path

import pytest

from training.proof import protocols
from training.proof.quality import Wanted, needs, quality, row_path, tasks_of, write_page
from training.proof.recipe_page import END, START, rows_path

ROW = {
    "stop_reason": "budget spent", "split": "grouped", "pictures": 90, "test": 30, "size": "24x40", "minutes": 1.0,
    "cpu_minutes": 1.0, "images_per_second": 900.0, "accuracy": {"value": 0.95, "low": 0.9, "high": 0.97},
    "escapes": "1/15", "false_rejects": "0/15", "auroc": 0.99, "ece": None, "histogram": 0.7, "test_sha256": "ab",
    "scorings": 1,
}  # fmt: skip
GOOD = {
    "set": "infrared_solar_modules", "what": "good only", "seed": 0, "learned": 60, "parts": 60, "judged": 40,
    "auroc": 0.9, "rejected": 0.01, "escapes": "3/20", "weights": {"small": 0.75, "patches": 0.25},
}  # fmt: skip


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    folder = tmp_path / "infrared_solar_modules"
    folder.mkdir()
    (folder / "images.csv").write_text("file,label\n")
    page = tmp_path / "page.md"
    return Wanted(tmp_path, tmp_path / "runs", page, 30, ["recipe", "original"], ["solar"], 1, few=True)


def test_what_is_known_is_not_measured_again(wanted: Wanted) -> None:
    assert {task.preset for task in tasks_of(wanted)} == {"recipe", "original", "few"}
    row = row_path(wanted.runs, protocols.PROTOCOLS[0], "recipe")
    few = rows_path(wanted.runs, "infrared_solar_modules")
    for path, rows in ((row, ROW), (few, [GOOD])):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(rows))
    left = tasks_of(wanted)
    assert [task.preset for task in left] == ["original"]
    assert needs(left, wanted, 2).startswith(
        "1 tasks: about 34 CPU minutes, 0.6 hours with 1 at a time on a core each"
    )
    write_page(wanted)
    text = wanted.page.read_text()
    assert "| 94.04% | 95.00% (90.00%–97.00%) | 1/15 |" in text
    assert "| infrared_solar_modules, fold 0 | 60 (60) | 40 | 0.9000 | 1.0% | 3/20 | 0.75 | 0.25 |" in text
    assert (text.count(START), text.count(END)) == (1, 1)


def test_a_task_that_fails_is_named_and_the_others_are_known(
    wanted: Wanted, capfd: pytest.CaptureFixture[str]
) -> None:
    row, few = row_path(wanted.runs, protocols.PROTOCOLS[0], "original"), "infrared_solar_modules, few"
    row.parent.mkdir(parents=True)
    row.write_text(json.dumps(ROW))
    assert sorted(quality(wanted, jobs=2)) == sorted([few, "solar, recipe"])
    said = capfd.readouterr().out
    assert f"lists no images\n== {few}: failed" in said
    assert "== solar, recipe: failed" in said
    assert "| solar | original, budget spent |" in wanted.page.read_text()


def test_all_tasks_fit_into_four_hours_on_two_cores(wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.proof.quality.present", lambda name, data, runs: data / name)
    whole = Wanted(wanted.data, wanted.runs, wanted.page, 30, ["recipe"], [], 1, few=True)
    tasks = tasks_of(whole)
    assert len(tasks) == len(protocols.PROTOCOLS) + 4
    assert sum(task.minutes(30) for task in tasks) / 2 <= 4 * 60
