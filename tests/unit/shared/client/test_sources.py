"""Each file of a folder is sent or reported as skipped, and equal names in two folders stay distinguishable."""

from pathlib import Path

import pytest

from shared.client.errors import UnusableInput
from shared.client.multipart import Multipart
from shared.client.sources import Source, add_sources

JPEG = b"\xff\xd8\xff\xe0 and the rest"


def names_sent(*sources: Source) -> tuple[list[str], dict[str, str]]:
    """The names of the parts, and the skipped names with their reasons."""
    body, skipped = Multipart(), dict[str, str]()
    add_sources(body, sources, skipped.__setitem__)
    headers = [header.decode() for header, _, _ in body.entries]
    return [header.split('filename="')[1].split('"')[0] for header in headers], skipped


def fill(folder: Path, *names: str, data: bytes = JPEG) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_the_content_decides_whatever_the_extension(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.JPG", "c.jfif", "d.jpe", "e.jpg.part", "noextension", "deep/er/f.txt")
    fill(tmp_path, "photo.HEIC", "notes", data=b"no image")
    fill(tmp_path, "empty.dat", data=b"")
    sent, skipped = names_sent(tmp_path)
    assert sent == ["a.jpg", "b.JPG", "c.jfif", "d.jpe", "e.jpg.part", "noextension", "deep/er/f.txt"]
    assert set(skipped) == {"photo.HEIC", "notes", "empty.dat"}
    assert all(skipped.values())


def test_a_damaged_image_is_sent_and_fails_rather_than_vanish(tmp_path: Path) -> None:
    fill(tmp_path, "zeros.jpg", data=bytes(100))
    fill(tmp_path, "empty.png", data=b"")
    assert names_sent(tmp_path) == (["empty.png", "zeros.jpg"], {})


def test_hidden_files_and_those_of_operating_systems_are_skipped_and_counted(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", ".hidden.jpg", ".cam4/b.jpg", "Thumbs.db", "__MACOSX/._a.jpg", ".DS_Store")
    sent, skipped = names_sent(tmp_path)
    assert sent == ["a.jpg"]
    assert set(skipped) == {".hidden.jpg", ".cam4", "Thumbs.db", "__MACOSX", ".DS_Store"}


def test_a_hidden_folder_above_the_one_given_hides_nothing(tmp_path: Path) -> None:
    assert names_sent(fill(tmp_path / ".cache", "a.jpg"))[0] == ["a.jpg"]


def test_links_are_followed_once_and_those_to_nothing_are_counted(tmp_path: Path) -> None:
    other = fill(tmp_path / "other", "x.jpg")
    line = fill(tmp_path / "line", "a.jpg")
    (line / "linked.jpg").symlink_to(other / "x.jpg")
    (line / "more").symlink_to(other)
    (line / "again").symlink_to(other)
    (line / "loop").symlink_to(line)
    (line / "gone.jpg").symlink_to(tmp_path / "nowhere")
    sent, skipped = names_sent(line)
    assert sent == ["a.jpg", "linked.jpg", "again/x.jpg"]
    assert set(skipped) == {"more", "loop", "gone.jpg"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["cam1", "cam2"], ["cam1/1.jpg", "cam2/1.jpg"]),
        (["day1/cam", "day2/cam"], ["day1/cam/1.jpg", "day2/cam/1.jpg"]),
        (["cam1/1.jpg", "cam2/1.jpg"], ["cam1/1.jpg", "cam2/1.jpg"]),
        (["cam1/1.jpg", "cam1/2.jpg"], ["1.jpg", "2.jpg"]),
        (["cam1"], ["1.jpg", "2.jpg"]),
        (["cam1/1.jpg"], ["1.jpg"]),
    ],
)
def test_equal_names_in_several_folders_stay_distinguishable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], sent: list[str]
) -> None:
    fill(tmp_path, *(name for name in sent if "/" in name))
    if given[0].startswith("cam1") and not any("/" in name for name in sent):
        fill(tmp_path, "cam1/1.jpg", "cam1/2.jpg")
    monkeypatch.chdir(tmp_path)
    assert names_sent(*given)[0] == sent
    assert names_sent(*(tmp_path / one for one in given))[0] == sent


def test_a_file_that_is_named_is_sent_whatever_it_holds(tmp_path: Path) -> None:
    assert names_sent(fill(tmp_path, "a.txt", data=b"text") / "a.txt") == (["a.txt"], {})


def test_a_folder_without_images_is_refused_with_the_count_of_what_it_holds(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "b.txt", data=b"text")
    with pytest.raises(UnusableInput, match="no images in this folder \\(2 files were skipped\\)"):
        names_sent(tmp_path)
