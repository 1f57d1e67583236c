"""Archives as people send them: every image becomes an item, junk is skipped by name, damage never passes silently."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from PIL import Image

from shared.settings import Settings
from tests.harness import archives
from tests.harness.archives import Taken, tarred, zipped
from web.http.problems import HttpProblem
from web.upload import tar_members


def an_image(shade: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (64, 64), shade).save(buffer, kind)
    return buffer.getvalue()


Pack = Callable[[dict[str, bytes]], bytes]
IMAGES = {f"parts/Teil {number}.jpg": an_image(40 * number) for number in range(1, 5)}
ZIP, DEFLATED = zipped(IMAGES), zipped(IMAGES, compression=zipfile.ZIP_DEFLATED)
TAR = tarred(IMAGES)
BMP = b"BM" + bytes(12) + struct.pack("<L", 40)  # enough for a file to count as an image
TAR_GZ = gzip.compress(TAR, mtime=0)


def taken(data: bytes, **settings: object) -> Taken:
    result = archives.read(data, Settings(**settings))  # type: ignore[arg-type]
    assert isinstance(result, Taken), result
    return result


def refused(data: bytes, max_bytes: int = 2**33) -> HttpProblem:
    result = archives.read(data, max_bytes=max_bytes)
    assert isinstance(result, HttpProblem), result
    return result


def images(result: Taken) -> dict[str, bytes]:
    return {name: data for name, data, error in result.items if error is None}


def errors(result: Taken) -> list[str | None]:
    return [error for _, _, error in result.items]


@pytest.mark.parametrize("data", [ZIP, DEFLATED, TAR, TAR_GZ], ids=["zip", "deflated", "tar", "tar.gz"])
def test_every_image_is_taken_whole_and_in_order(data: bytes) -> None:
    result = taken(data)
    assert images(result) == IMAGES
    assert [name for name, _, _ in result.items] == list(IMAGES)
    assert result.skipped == []


JUNK = {
    "__MACOSX/parts/._Teil 1.jpg": b"\0\5\26\7" + bytes(60),
    "parts/.DS_Store": b"\0\0\0\1Bud1",
    "parts/Thumbs.db": b"\xd0\xcf\x11\xe0",
    "parts/desktop.ini": b"[.ShellClassInfo]",
    ".hidden/a.jpg": an_image(9),
    "parts/readme.txt": b"hello",
    "parts/labels.csv": b"file,label\n",
    "parts/empty": b"",
}


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_the_claim_on_an_upload_is_renewed_at_every_member_skipped_ones_included(pack: Pack) -> None:
    """A long archive, or one of junk alone, would otherwise lose its lease before it is read."""
    assert taken(pack({**JUNK, **IMAGES})).renewed == len(JUNK) + len(IMAGES)


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_files_that_are_no_images_are_skipped_with_their_names_and_reasons(pack: Pack) -> None:
    result = taken(pack({**JUNK, **IMAGES}))
    assert images(result) == IMAGES
    assert len(result.items) == len(IMAGES)
    assert [name for name, _ in result.skipped] == list(JUNK)
    assert all(reason for _, reason in result.skipped)


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
@pytest.mark.parametrize("data", [b"", b"not an image"], ids=["empty", "other bytes"])
def test_a_file_that_claims_to_be_an_image_is_taken_whatever_it_holds(pack: Pack, data: bytes) -> None:
    result = taken(pack({**IMAGES, "parts/lost.jpg": data}))
    assert [name for name, _, _ in result.items] == [*IMAGES, "parts/lost.jpg"]
    assert result.skipped == []


def test_a_tar_with_half_of_its_end_marker_was_cut() -> None:
    end = len(TAR.rstrip(b"\0"))
    blocks = -(-end // 512) * 512
    problem = refused(TAR[: blocks + 512])
    assert (problem.status, problem.code) == (422, "invalid_archive")


@pytest.mark.parametrize("head", [b"Rar!\x1a\x07\0", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ\0", b"BZh91AY"])
def test_an_archive_of_another_kind_is_named(head: bytes) -> None:
    assert "pack as zip, tar or tar.gz" in refused(head + bytes(2000)).detail


def test_an_image_is_known_by_its_content_whatever_its_name() -> None:
    files = {"noextension": an_image(1), "b.jpg.part": an_image(2, "PNG"), "c": an_image(3, "TIFF")}
    assert images(taken(zipped(files))) == files


def test_a_member_without_a_name_is_taken_as_unnamed() -> None:
    data = bytearray(zipped({"x.jpg": an_image(1)}))
    for at, central in reversed(archives.zip_headers(bytes(data))):
        struct.pack_into("<H", data, at + (28 if central else 26), 0)
        start = at + (46 if central else 30)
        del data[start : start + 5]
    end = data.find(b"PK\x05\x06")
    start = data.find(b"PK\x01\x02")
    struct.pack_into("<2L", data, end + 12, end - start, start)
    assert [name for name, _, _ in taken(bytes(data)).items] == ["unnamed"]


def test_two_members_with_one_name_are_both_taken() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        for shade in (10, 20):
            archive.writestr("a/1.jpg", an_image(shade))
    assert [(name, data) for name, data, _ in taken(buffer.getvalue()).items] == [
        ("a/1.jpg", an_image(10)),
        ("a/1.jpg", an_image(20)),
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (archives.with_method(ZIP, 9), "unsupported_media"),
        (zipped(IMAGES, compression=zipfile.ZIP_BZIP2), "unsupported_media"),
        (zipped(IMAGES, compression=zipfile.ZIP_LZMA), "unsupported_media"),
        (archives.with_method(ZIP, 12345), "unsupported_media"),
        (archives.with_method(ZIP, 99), "unsafe_archive_member"),
        (archives.with_flag(ZIP, 1), "unsafe_archive_member"),
    ],
    ids=["deflate64", "bzip2", "LZMA", "unknown method", "AES", "encrypted"],
)
def test_members_that_cannot_be_unpacked_fail_alone_with_a_code(data: bytes, code: str) -> None:
    result = taken(data)
    assert errors(result) == [code] * 4
    assert [name for name, _, _ in result.items] == list(IMAGES)


@pytest.mark.parametrize("whole", [ZIP, DEFLATED], ids=["stored", "deflated"])
@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_damaged_member_of_a_zip_fails_alone(whole: bytes, at: float) -> None:
    archive = zipfile.ZipFile(io.BytesIO(whole))
    info = archive.infolist()[1]
    place = info.header_offset + 30 + len(info.filename) + int(at * info.compress_size)
    damaged = bytearray(whole)
    damaged[place] ^= 0xFF
    result = taken(bytes(damaged))
    lost = {"corrupt_image"} if result.skipped == [] else set()
    assert set(errors(result)) == {None, *lost}
    assert list(images(result)) == [name for name in IMAGES if name != info.filename]
    assert len(result.items) + len(result.skipped) == 4


def member_ends(data: bytes) -> list[int]:
    """Where each member of a tar ends, padding included."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [member.offset_data + -(-member.size // 512) * 512 for member in archive]


@pytest.mark.parametrize("member", range(4))
@pytest.mark.parametrize("more", [0, 1, 300, 512 + 100], ids=["boundary", "+1", "in a header", "in data"])
def test_a_tar_that_was_cut_is_refused(member: int, more: int) -> None:
    cut = TAR[: member_ends(TAR)[member] + more]
    if member == 3 and more > 512:
        pytest.skip("beyond the first block of the end marker, the archive is whole")
    for data in (cut, gzip.compress(cut)):
        problem = refused(data)
        assert (problem.status, problem.code) == (422, "invalid_archive")
        assert f"Teil {member + 1}" in problem.detail


def test_a_gzip_that_was_cut_or_has_a_wrong_checksum_is_refused() -> None:
    wrong_crc = bytearray(TAR_GZ)
    wrong_crc[-8] ^= 1
    wrong_length = bytearray(TAR_GZ)
    wrong_length[-1] ^= 1
    for data in (TAR_GZ[:-1], TAR_GZ[:-8], TAR_GZ[: len(TAR_GZ) // 2], bytes(wrong_crc), bytes(wrong_length)):
        assert refused(data).code == "invalid_archive"


def test_a_damaged_header_is_not_taken_for_the_end() -> None:
    damaged = bytearray(TAR)
    damaged[member_ends(TAR)[1] + 10] ^= 1
    assert "Teil 2" in refused(bytes(damaged)).detail


def test_joined_archives_are_refused_rather_than_half_read() -> None:
    for data in (TAR + TAR, TAR_GZ + TAR_GZ):
        assert "follow its end marker" in refused(data).detail


def test_a_tar_is_a_tar_even_if_its_last_member_is_a_zip() -> None:
    result = taken(tarred({**IMAGES, "more.zip": ZIP}, bufsize=512))
    assert images(result) == IMAGES
    assert [name for name, _ in result.skipped] == ["more.zip"]


@pytest.mark.parametrize("whole", [ZIP, DEFLATED], ids=["stored", "deflated"])
def test_a_zip_that_was_cut_is_refused(whole: bytes) -> None:
    for share in (0.0, 0.3, 0.6, 0.99):
        assert refused(whole[: int(share * len(whole))]).status == 422


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_and_foreign_names_of_a_tar_are_kept(format: int) -> None:
    name = "Ordner/" + "ö" * 40 + "/零件一.jpg" if format != tarfile.USTAR_FORMAT else "Gehäuse.jpg"
    long = name if format == tarfile.USTAR_FORMAT else "x" * 300 + name
    assert list(images(taken(tarred({long: an_image(1)}, format=format)))) == [long]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Gehäuse.jpg".encode("cp850"), "Gehäuse.jpg"),
        ("零件一.jpg".encode("gbk"), "零件一.jpg"),
        ("部品.jpg".encode("cp932"), "部品.jpg"),
        ("表.jpg".encode("cp932"), "表.jpg"),  # its second byte is a backslash
        ("Größe.jpg".encode("cp1252"), "Größe.jpg"),
    ],
)
def test_names_in_an_old_encoding_are_readable(raw: bytes, name: str) -> None:
    data = archives.with_raw_name(zipped({"x" * len(raw): an_image(1)}), b"x" * len(raw), raw)
    assert list(images(taken(data))) == [name]


@pytest.mark.parametrize(
    ("encoding", "name"), [("gbk", "零件一.jpg"), ("cp932", "部品.jpg"), ("cp1252", "Größe.jpg")]
)
def test_names_of_a_tar_in_an_old_encoding_are_readable(encoding: str, name: str) -> None:
    data = tarred({name: an_image(1)}, format=tarfile.GNU_FORMAT, encoding=encoding)
    assert list(images(taken(data))) == [name]


def test_the_unicode_field_of_a_zip_counts_if_its_checksum_fits() -> None:
    raw = b"Geh\x84use.jpg"
    good = archives.zip_with_unicode_path(raw, "零件 Gehäuse.jpg", an_image(1))
    assert list(images(taken(good))) == ["零件 Gehäuse.jpg"]
    stale = archives.with_raw_name(good, raw, b"Geh\x94use.jpg")
    assert list(images(taken(stale))) == ["Gehöuse.jpg"]


def test_a_configured_encoding_needs_no_guess() -> None:
    raw = "검사.jpg".encode("cp949")
    data = archives.with_raw_name(zipped({"x" * len(raw): an_image(1)}), b"x" * len(raw), raw)
    assert list(images(taken(data, filename_encoding="cp949"))) == ["검사.jpg"]


def test_a_name_with_a_control_character_fails_alone_and_is_shown_without_it() -> None:
    result = taken(zipped({"a\x07b.jpg": an_image(1), "good.jpg": an_image(2)}))
    assert [(name, error) for name, _, error in result.items] == [
        ("a\ufffdb.jpg", "unsafe_archive_member"),
        ("good.jpg", None),
    ]


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "kind", [b"x", b"g", b"L", b"K"], ids=["pax", "global pax", "long name", "long link"]
)
def test_a_huge_extended_header_is_refused_before_it_is_read(kind: bytes) -> None:
    bomb = header(kind, 2**28) + bytes(1024)
    assert "extended header" in refused(bomb).detail


def test_sparse_files_and_special_files_fail_alone() -> None:
    sparse = bytearray(header(b"S", 512))
    sparse[482] = 1
    sparse[148:156] = b" " * 8
    sparse[148:156] = b"%06o\0 " % sum(sparse[:512])
    data = bytes(sparse) + bytes(504) + b"\0" * 8 + bytes(512)
    data += header(b"3", 0, "device") + TAR
    result = taken(data)
    assert errors(result) == ["unsafe_archive_member"] * 2 + [None] * 4


def test_an_archive_that_unpacks_to_too_much_is_refused() -> None:
    many = {f"{number}.bmp": BMP + bytes(100_000) for number in range(20)}
    for data in (zipped(many, compression=zipfile.ZIP_DEFLATED), gzip.compress(tarred(many))):
        problem = refused(data, max_bytes=1_000_000)
        assert (problem.status, problem.code) == (413, "request_too_large")


def test_a_member_over_the_limit_does_not_take_its_neighbours_along() -> None:
    files = {"bomb.bmp": BMP + bytes(10_000), **IMAGES}
    for pack in (zipped, tarred):
        result = taken(pack(files), max_item_bytes=5_000)
        assert len(result.items) == 5
        assert images(result).keys() >= IMAGES.keys()


def test_a_zip_with_too_many_members_is_refused_before_its_directory_is_read() -> None:
    entry = b"PK\x01\x02" + bytes(42)
    directory = entry * 100_001
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0)
    problem = refused(b"PK\x03\x04" + directory + end)
    assert (problem.status, problem.code) == (413, "too_many_items")


def test_a_tar_may_have_many_folders_before_each_of_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_members, "OTHERS", 3)

    def tar(before_all: int, before_each: int) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for number, (name, data) in enumerate(IMAGES.items()):
                for _ in range(before_each if number else before_all):
                    folder = tarfile.TarInfo("parts")
                    folder.type = tarfile.DIRTYPE
                    archive.addfile(folder)
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    assert images(taken(tar(before_all=3, before_each=10))) == IMAGES
    for problem in (refused(tar(before_all=4, before_each=0)), refused(tar(before_all=3, before_each=11))):
        assert (problem.status, problem.code) == (413, "too_many_items")
