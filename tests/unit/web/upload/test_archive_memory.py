"""Archives made to fill memory do not: a process of its own reads each one and tells how much it grew."""

import bz2
import gzip
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.harness.archives import zipped

pytestmark = pytest.mark.slow
MB = 2**20
IMAGE = b"\xff\xd8\xff" + bytes(100)
CHILD = """
import resource, sys
from tests.harness.archives import Taken
from web.http.problems import HttpProblem
from web.upload import archives

class Counted(Taken):
    count = 0
    def begin(self, filename): self.count += 1
    def write(self, data): pass
    def refuse(self, code, detail): pass
    def skip(self, filename, reason): self.count += 1

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
taken, before = Counted(), peak()
try:
    with open(sys.argv[1], "rb") as file:
        archives.read(file, "archive", taken, 2**33)
    code = "taken"
except HttpProblem as problem:
    code = problem.code
print(code, taken.count, peak() - before)
"""


def outcome(path: Path) -> tuple[str, int, int]:
    """(code, items and skipped files, MB by which the process grew)."""
    argv = [sys.executable, "-c", CHILD, str(path)]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=150).stdout.split()
    return told[0], int(told[1]), int(told[2])


def tar_of_many(path: Path) -> None:
    """Fifty thousand members, all with one hidden name, so that each is skipped."""
    block = tarfile.TarInfo(".x").tobuf(tarfile.USTAR_FORMAT)
    path.write_bytes(gzip.compress(block * 50_000 + bytes(1024), 1))


def tar_of_headers(path: Path) -> None:
    """200 MB of extended headers, each within its bound, before one member."""
    record = b"65000 key=" + b"x" * (65_000 - 11) + b"\n"
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XGLTYPE, len(record)
    header = info.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512)
    path.write_bytes(gzip.compress(header * (200 * MB // len(header)) + bytes(1024), 1))


def tar_of_one_header(path: Path) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 200 * MB
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(200 * MB), 1))


def zip_directory(path: Path, count: int, name: bytes) -> None:
    """A zip whose directory has so many entries for one member."""
    one = zipped({"x" * len(name): IMAGE}).replace(b"x" * len(name), name)
    start = one.find(b"PK\x01\x02")
    entry = one[start : one.find(b"PK\x05\x06")]
    directory = entry * count
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, len(directory), start, 0)
    path.write_bytes(one[:start] + directory + end)


def zip_of_many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(99_999):
            archive.writestr(f".a-hidden-name-{number:05}.jpg", b"")


def zip_of_bzip2(path: Path) -> None:
    """256 MB of zeros, which bzip2 packs into 200 bytes."""
    packed = bz2.compress(b"\xff\xd8\xff" + bytes(256 * MB))
    data = bytearray(zipped({"bomb.jpg": packed}))
    for at, offset in ((0, 8), (data.find(b"PK\x01\x02"), 10)):
        struct.pack_into("<H", data, at + offset, zipfile.ZIP_BZIP2)
        struct.pack_into("<L", data, at + offset + 14, 256 * MB + 3)
    path.write_bytes(data)


CASES = {
    "many members of a tar": (tar_of_many, "taken"),
    "200 MB of extended headers": (tar_of_headers, "taken"),
    "a name of 200 MB": (tar_of_one_header, "invalid_archive"),
    "as many members as a zip may have": (zip_of_many, "taken"),
    "many entries for one member of a zip": (
        lambda path: zip_directory(path, 99_999, b".a-hidden-name.jpg"),
        "invalid_archive",
    ),
    "half a million entries of a zip": (lambda path: zip_directory(path, 500_000, b"d/"), "too_many_items"),
    "long names of a zip": (lambda path: zip_directory(path, 500, b"." + b"n" * 60_000), "too_many_items"),
    "a bomb of bzip2": (zip_of_bzip2, "taken"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_archive_grows_the_process_by_less_than_150_mb(case: str, tmp_path: Path) -> None:
    write, expected = CASES[case]
    write(tmp_path / "archive")
    code, _, grown = outcome(tmp_path / "archive")
    assert code == expected
    assert grown < 150, f"{grown} MB"
