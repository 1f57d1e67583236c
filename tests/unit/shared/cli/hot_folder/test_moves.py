"""Judged files keep their names; one of a name that was moved before gets a number."""

from pathlib import Path

from shared.cli.hot_folder import moves
from shared.cli.hot_folder.journal import KnownFile


def arrived(folder: Path, name: str) -> KnownFile:
    (folder / name).write_bytes(b"image")
    found = (folder / name).stat()
    return KnownFile(name, "0" * 64, found.st_size, found.st_mtime_ns)


def test_images_of_one_name_are_all_kept_under_numbers(tmp_path: Path) -> None:
    for count in range(1, 101):
        place = moves.move(tmp_path, arrived(tmp_path, "snap.jpg"), {"status": "succeeded"}, as_json=False)
        assert place == moves.DONE
        assert len(list((tmp_path / "done").iterdir())) == count
    assert {path.name for path in (tmp_path / "done").iterdir()} == {
        "snap.jpg",
        *(f"snap~{number}.jpg" for number in range(2, 101)),
    }


def test_a_file_that_was_written_again_stays(tmp_path: Path) -> None:
    known = arrived(tmp_path, "a.jpg")
    (tmp_path / "a.jpg").write_bytes(b"another image")
    assert moves.move(tmp_path, known, {"status": "succeeded"}, as_json=False) == moves.CHANGED
    assert (tmp_path / "a.jpg").exists()
