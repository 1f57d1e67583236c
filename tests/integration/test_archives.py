"""Archives: what is in them becomes items, and nothing of them becomes a path."""

import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.application import Application

pytestmark = pytest.mark.row(23)


@pytest.fixture(scope="module")
def files(images: dict[str, bytes]) -> dict[str, bytes]:
    return {f"shift-1/{name}": data for name, data in list(images.items())[:4]}


def zipped(files: dict[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        archive.mkdir("shift-1")
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("shift-1")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


BMP = b"BM" + bytes(12) + struct.pack("<L", 40)  # enough for a file to count as an image
KINDS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "a.zip": zipped,
    "deflated.zip": lambda files: zipped(files, compression=zipfile.ZIP_DEFLATED),
    "a.tar": tarred,
    "a.tar.gz": lambda files: tarred(files, "w:gz"),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_file_of_an_archive_is_an_item(app: Application, files: dict[str, bytes], name: str) -> None:
    response = app.post_form("/v1/batches", ("archive", name, KINDS[name](files)))
    assert response.status_code == 202, response.text
    app.work()
    items = app.results(response.get_json()["id"])
    assert [item["filename"] for item in items] == list(files)
    assert {item["status"] for item in items} == {"succeeded"}


def test_an_archive_and_single_images_make_one_batch(app: Application, files: dict[str, bytes]) -> None:
    loose = ("images", "loose.jpg", next(iter(files.values())))
    batch = app.post_form("/v1/batches", loose, ("archive", "a.zip", zipped(files))).get_json()
    assert batch["counts"]["total"] == len(files) + 1


def links_and_climbers() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind, name in (
            (tarfile.SYMTYPE, "soft.jpg"),
            (tarfile.LNKTYPE, "hard.jpg"),
            (tarfile.CHRTYPE, "dev.jpg"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        for name in ("../up.jpg", "/absolute.jpg", "a/../../b.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    return buffer.getvalue()


def test_links_devices_and_names_that_climb_fail_alone_in_a_tar(app: Application) -> None:
    batch = app.post_form("/v1/batches", ("archive", "a.tar", links_and_climbers())).get_json()
    items = app.results(batch["id"])
    assert len(items) == 6
    assert {item["error"]["code"] for item in items} == {"unsafe_archive_member"}


def test_links_and_names_that_climb_fail_alone_in_a_zip(app: Application, files: dict[str, bytes]) -> None:
    buffer = io.BytesIO(zipped(files))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../up.jpg", b"x")
    batch = app.post_form("/v1/batches", ("archive", "a.zip", buffer.getvalue())).get_json()
    app.work()
    items = app.results(batch["id"])
    assert [item["status"] for item in items] == ["succeeded"] * 4 + ["failed"] * 2
    assert {item["error"]["code"] for item in items[4:]} == {"unsafe_archive_member"}


def half_of(data: bytes) -> bytes:
    return data[: len(data) // 2]


def test_an_archive_that_cannot_be_read_is_refused_whole(app: Application, files: dict[str, bytes]) -> None:
    before = sorted(app.service.blobs.batch_ids())
    broken = {
        "no.zip": b"this is no archive at all" * 50,
        "empty.zip": b"",
        "cut.zip": half_of(KINDS["a.zip"](files)),
        "joined.zip": KINDS["a.zip"](files) + KINDS["a.zip"](files),
        "cut.tar": half_of(KINDS["a.tar"](files)),
        "cut.tar.gz": half_of(KINDS["a.tar.gz"](files)),
    }
    for name, data in broken.items():
        response = app.post_form("/v1/batches", ("archive", name, data))
        problem = response.get_json()
        assert (response.status_code, problem["code"]) == (422, "invalid_archive"), name
        (entry,) = problem["errors"]
        assert (entry["code"], entry["pointer"], entry["filename"]) == ("invalid_archive", "/archive", name)
    assert sorted(app.service.blobs.batch_ids()) == before
    assert list(app.service.blobs.spool_folder().iterdir()) == []


def test_a_member_whose_bytes_are_damaged_does_not_pass_for_whole(
    app: Application, files: dict[str, bytes]
) -> None:
    data = bytearray(zipped(files))
    place = data.find(next(iter(files.values()))) + 200
    data[place] ^= 0xFF
    response = app.post_form("/v1/batches", ("archive", "a.zip", bytes(data)))
    assert response.status_code == 202
    codes = [item["error"] and item["error"]["code"] for item in app.results(response.get_json()["id"])]
    assert codes == ["corrupt_image", None, None, None]


def test_skipped_files_are_counted_and_named_in_the_batch(app: Application, files: dict[str, bytes]) -> None:
    junk = {"readme.txt": b"hello", "__MACOSX/._a.jpg": b"\0\5\26\7", "Thumbs.db": b"x"}
    batch = app.post_form("/v1/batches", ("archive", "a.zip", zipped({**junk, **files}))).get_json()
    assert (batch["counts"]["total"], batch["skipped"]) == (4, 3)
    assert [warning["filename"] for warning in batch["warnings"]] == list(junk)
    assert {warning["code"] for warning in batch["warnings"]} == {"file_skipped"}
    assert app.get(f"/v1/batches/{batch['id']}")["warnings"] == batch["warnings"]


def test_a_member_with_an_images_extension_and_other_bytes_fails_and_is_not_skipped(
    app: Application, files: dict[str, bytes]
) -> None:
    lost = {"lost-head.jpg": b"\0" * 5000, "empty.png": b""}
    batch = app.post_form("/v1/batches", ("archive", "a.zip", zipped({**files, **lost}))).get_json()
    assert (batch["skipped"], batch["counts"]["total"]) == (0, len(files) + 2)
    app.work()
    failed = app.get(f"/v1/batches/{batch['id']}/items?status=failed")["data"]
    assert {item["filename"] for item in failed} == set(lost)


def test_the_list_of_skipped_files_is_bounded_and_their_number_is_not(
    app: Application, files: dict[str, bytes]
) -> None:
    junk = {f"{number}.txt": b"x" for number in range(150)}
    batch = app.post_form("/v1/batches", ("archive", "a.zip", zipped({**junk, **files}))).get_json()
    assert (batch["skipped"], len(batch["warnings"])) == (150, 100)


def test_an_archive_of_nothing_but_junk_is_refused_with_the_names(app: Application) -> None:
    archive = zipped({"Thumbs.db": b"x", "labels.csv": b"a,b"})
    response = app.post_form("/v1/batches", ("archive", "a.zip", archive))
    problem = response.get_json()
    assert (response.status_code, problem["code"]) == (400, "no_images")
    assert "Thumbs.db" in problem["detail"]
    assert [entry["filename"] for entry in problem["errors"]] == ["Thumbs.db", "labels.csv"]


def test_two_members_with_one_name_are_both_judged_and_told_apart(
    app: Application, files: dict[str, bytes]
) -> None:
    buffer = io.BytesIO()
    first, second, *_ = files.values()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a/1.jpg", first)
        archive.writestr("a/1.jpg", second)
    batch = app.post_form("/v1/batches", ("archive", "a.zip", buffer.getvalue())).get_json()
    app.work()
    items = app.results(batch["id"])
    assert [item["sha256"] for item in items] == [
        hashlib.sha256(data).hexdigest() for data in (first, second)
    ]
    assert items[0]["id"] < items[1]["id"]
    assert {item["status"] for item in items} == {"succeeded"}


def test_an_encrypted_member_fails_alone(app: Application, files: dict[str, bytes]) -> None:
    data = bytearray(zipped({"shift-1/a.jpg": next(iter(files.values()))}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rfind(signature) + flags] |= 1
    batch = app.post_form("/v1/batches", ("archive", "a.zip", bytes(data))).get_json()
    assert [item["error"]["code"] for item in app.results(batch["id"])] == ["unsafe_archive_member"]


def test_a_member_that_unpacks_to_too_much_fails_alone(app: Application, files: dict[str, bytes]) -> None:
    most = app.service.settings.max_item_bytes
    bomb = zipped({"bomb.bmp": BMP + bytes(most), **files}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < most / 100
    batch = app.post_form("/v1/batches", ("archive", "bomb.zip", bomb)).get_json()
    items = app.results(batch["id"])
    assert [item["error"] and item["error"]["code"] for item in items] == [
        "too_large",
        None,
        None,
        None,
        None,
    ]
