"""Links to folders and to images, and links that lead nowhere."""

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.training.data.files import labels, put
from training.data.check import check
from training.data.load import listing, load
from training.data.records import DataError


def test_linked_folders_are_followed_and_a_ring_ends(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "a.png", 1)
    put(tmp_path / "set" / "ok" / "b.png", 2)
    (tmp_path / "set" / "nok").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "ok" / "again").symlink_to(tmp_path / "set")
    assert labels(tmp_path / "set") == {"nok/a.png": (1, ""), "ok/b.png": (0, "")}


def test_of_several_paths_to_an_image_the_one_that_says_the_label_counts(tmp_path: Path) -> None:
    put(tmp_path / "archive" / "lot1" / "a.png", 1)
    put(tmp_path / "archive" / "lot2" / "b.png", 2)
    put(tmp_path / "archive" / "lot3" / "c.png", 3)
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "lot1").symlink_to(tmp_path / "archive" / "lot1")
    (tmp_path / "ok").symlink_to(tmp_path / "archive" / "lot1")
    (tmp_path / "bad").symlink_to(tmp_path / "archive" / "lot2")
    found = listing(tmp_path)
    assert [path.name for path in found.ignored] == ["c.png"]
    assert labels(tmp_path) == {"bad/b.png": (1, ""), "good/lot1/a.png": (0, "")}


def test_links_with_both_labels_to_one_folder_contradict_each_other(tmp_path: Path) -> None:
    for place in range(3):
        put(tmp_path / "elsewhere" / f"{place}.png", place)
        put(tmp_path / "set" / "good" / f"{place}.png", 10 + place)
    (tmp_path / "set" / "bad").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "good" / "x").symlink_to(tmp_path / "elsewhere")
    report = check(tmp_path / "set")
    assert report.contradictions[0][0].startswith("bad/") and len(report.contradictions) == 3
    assert [record.label for record in report.records] == [0, 0, 0]


def test_a_link_below_train_and_test_is_a_leak_and_one_without_a_part_is_none(tmp_path: Path) -> None:
    for place in range(4):
        put(
            tmp_path / ("train" if place < 2 else "test") / ("ok" if place % 2 else "nok") / f"{place}.png",
            place,
        )
    (tmp_path / "ok").symlink_to(tmp_path / "train" / "ok")
    assert Counter(record.split for record in load(tmp_path)) == {"train": 2, "test": 2}
    (tmp_path / "test" / "ok" / "again.png").symlink_to(tmp_path / "train" / "ok" / "1.png")
    assert check(tmp_path).leaks == [["test/ok/again.png", "train/ok/1.png"]]


def test_links_that_lead_nowhere_are_counted_and_named(tmp_path: Path) -> None:
    put(tmp_path / "ok" / "a.png", 1)
    (tmp_path / "nok").symlink_to(tmp_path / "moved away")
    (tmp_path / "ok" / "b.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "ok" / "itself").symlink_to(tmp_path / "ok" / "itself")
    report = check(tmp_path)
    assert "links that lead nowhere: 3 (nok; ok/b.png; ok/itself)" in report.as_text()
    assert report.as_json()["counts"]["broken_links"] == 3
    (tmp_path / "ok" / "a.png").unlink()
    with pytest.raises(DataError, match=r"3 links lead nowhere, such as .*nok"):
        check(tmp_path)


def test_a_table_names_a_file_by_one_of_its_paths(tmp_path: Path) -> None:
    put(tmp_path / "archive" / "a.png", 1)
    put(tmp_path / "archive" / "b.png", 2)
    Image.new("L", (96, 80), 255).save(tmp_path / "archive" / "c.png")
    (tmp_path / "set").symlink_to(tmp_path / "archive")
    (tmp_path / "images.csv").write_text("file,label\nset/a.png,ok\nset/b.png,nok\n")
    assert [path.name for path in listing(tmp_path).ignored] == ["c.png"]
