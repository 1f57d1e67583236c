"""A file is taken once it is whole, and files that are no arrivals are left alone."""

import os
import time
from pathlib import Path

import pytest

from shared.cli.hot_folder import arrivals
from shared.cli.hot_folder.arrivals import Arrivals, why_no_image


@pytest.fixture
def seen(tmp_path: Path) -> Arrivals:
    return Arrivals(tmp_path, settle_s=0.05)


def write(path: Path, data: bytes = b"\xff\xd8\xff data", age_s: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    at = time.time() - age_s
    os.utime(path, (at, at))


def test_a_file_is_whole_once_it_holds_still(seen: Arrivals, tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    seen.look("a.jpg")
    assert seen.whole() == []
    time.sleep(0.06)
    write(tmp_path / "a.jpg", b"\xff\xd8\xff more data")
    assert seen.whole() == [], "it was written again meanwhile"
    time.sleep(0.06)
    assert seen.whole() == ["a.jpg"]


def test_a_file_that_was_renamed_in_is_whole_at_once(seen: Arrivals, tmp_path: Path) -> None:
    write(tmp_path / "old.jpg", age_s=60)
    seen.look("old.jpg")
    assert seen.whole() == ["old.jpg"]


def test_a_rescan_finds_files_without_events(seen: Arrivals, tmp_path: Path) -> None:
    for name in (
        "a.jpg",
        "lot 7/b.jpg",
        "done/c.jpg",
        "failed/d.jpg",
        ".gonogo/journal.sqlite",
        "e.jpg.part",
    ):
        write(tmp_path / name, age_s=60)
    write(tmp_path / "empty.jpg", b"", age_s=60)
    seen.rescan()
    assert sorted(seen.whole()) == ["a.jpg", "lot 7/b.jpg"]


def test_an_empty_file_is_taken_once_no_byte_has_come_for_long(
    seen: Arrivals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "lost.jpg", b"", age_s=60)
    seen.rescan()
    assert seen.whole() == [] and not seen.is_idle(), "a copy may begin with it"
    monkeypatch.setattr(arrivals, "EMPTY_S", 0.06)
    time.sleep(0.07)
    assert seen.whole() == ["lost.jpg"]


def test_a_planned_file_is_not_offered_again(seen: Arrivals, tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", age_s=60)
    seen.rescan()
    seen.take("a.jpg")
    seen.rescan()
    assert seen.whole() == []
    seen.release("a.jpg")
    seen.rescan()
    assert seen.whole() == ["a.jpg"]


def test_a_file_that_is_no_image_is_offered_again_when_it_changes(seen: Arrivals, tmp_path: Path) -> None:
    write(tmp_path / "notes.txt", b"text", age_s=60)
    seen.rescan()
    seen.leave_out("notes.txt")
    seen.rescan()
    assert seen.whole() == []
    write(tmp_path / "notes.txt", b"other text", age_s=60)
    seen.rescan()
    assert seen.whole() == ["notes.txt"]


def test_an_image_is_known_by_its_content_or_its_extension(tmp_path: Path) -> None:
    write(tmp_path / "camera.dat", b"\x89PNG\r\n\x1a\n")
    write(tmp_path / "broken.jpg", b"rubbish")
    write(tmp_path / "notes.txt", b"text")
    assert why_no_image(str(tmp_path / "camera.dat")) is None
    assert why_no_image(str(tmp_path / "broken.jpg")) is None
    assert why_no_image(str(tmp_path / "notes.txt")) is not None
    (tmp_path / "link.jpg").symlink_to("/etc/passwd")
    assert "link" in str(why_no_image(str(tmp_path / "link.jpg"))), (
        "whoever may write here may not read all files"
    )
