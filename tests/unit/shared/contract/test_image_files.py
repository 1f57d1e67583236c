"""A single rule says which files are images: by the first bytes; an extension can add a file, and removes none."""

import io
from pathlib import Path

import pytest
from PIL import Image

from shared.contract import image_files


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_each_accepted_format_is_known_by_its_first_bytes(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, kind)
    head = buffer.getvalue()[: image_files.HEAD_BYTES]
    assert image_files.image_kind(head) == kind
    assert image_files.image_kind(memoryview(head)) == kind
    assert image_files.skip_by_content(head) is None


@pytest.mark.parametrize(
    "head", [b"\xff\xd8\xff\xe0", b"\r\n\xff\xd8\xff\xe0", b"MM\x00*\x00", b"II+\x00\x08", b"BM6\x00"]
)
def test_cut_and_unusual_heads_are_still_images(head: bytes) -> None:
    assert image_files.image_kind(head) is not None


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", image_files.EMPTY),
        (b"BMW parts, order 4711: 20 images of the left door", image_files.NOT_AN_IMAGE),
        (b"filename,label\n", image_files.NOT_AN_IMAGE),
        (b"GIF89a", image_files.NOT_AN_IMAGE),
        (b"RIFF\x00\x00\x00\x00WAVE", image_files.NOT_AN_IMAGE),
        (b"\x00\x00\x00\x0cjP  ", image_files.NOT_AN_IMAGE),
    ],
)
def test_other_content_is_skipped_with_a_reason(head: bytes, reason: str) -> None:
    assert image_files.skip_by_content(head) == reason


@pytest.mark.parametrize(
    "path",
    [
        "__MACOSX/parts/._a.jpg", "parts/.DS_Store", "./._Teil 1.jpg", "Thumbs.db", "a/THUMBS.DB", "desktop.ini",
        "a\\Desktop.ini", ".hidden.jpg", ".cam4/g.jpg", "line1/.cache/x.png",
        "ok/@eaDir/a.jpg/b.jpg",
    ],
)  # fmt: skip
def test_system_files_and_hidden_files_are_skipped_by_name(path: str) -> None:
    assert image_files.skip_by_name(path)


@pytest.mark.parametrize(
    "path", ["a.jpg", "./a.jpg", "../a.jpg", "noextension", "e.jpg.part", "a/b.c/d", "a..b.jpg"]
)
def test_no_other_name_decides(path: str) -> None:
    assert image_files.skip_by_name(str(Path(path))) is None


@pytest.mark.parametrize("name", ["a.jpg", "b.JPG", "c.jfif", "d.jpe", "e.Tiff", "line1/f.PNG"])
def test_a_file_that_claims_to_be_an_image_is_taken(name: str) -> None:
    assert image_files.claims_image(name)


@pytest.mark.parametrize("name", ["jpg", "a.jpg.part", "a.heic", "a.gif", "a.txt", "noextension"])
def test_no_other_extension_claims_an_image(name: str) -> None:
    assert not image_files.claims_image(name)
