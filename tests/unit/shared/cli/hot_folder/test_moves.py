"""Judged files keep their names; one of a name that was moved before gets a number."""

from pathlib import Path

from shared.cli.hot_folder import moves
from shared.cli.hot_folder.items import Items
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


def test_an_item_is_found_by_its_file_though_the_service_keeps_another_name() -> None:
    def item(name: str, sha256: str | None) -> dict[str, str | None]:
        return {"filename": name, "sha256": sha256}

    def file(name: str, sha256: str) -> KnownFile:
        return KnownFile(name, sha256, 1, 1)

    kept = [
        item("a.jpg", "1"),
        item('b".jpg', "2"),
        item("Geh\xe4use.jpg", "3"),
        item("empty.jpg", None),
        item("c", "1"),
    ]
    items = Items(kept)
    assert items.of(file("a.jpg", "1")) == kept[0], "not its twin"
    assert items.of(file("b%22.jpg", "2")) == kept[1]
    assert items.of(file("Geh\udce4use.jpg", "3")) == kept[2]
    assert items.of(file("empty.jpg", "e3b0")) == kept[3], (
        "the service keeps no sha256 of an image that it refused"
    )
    assert items.of(file("d.jpg", "4")) is None
