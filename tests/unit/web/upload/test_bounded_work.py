"""Inputs made to cost time or memory: each is answered in little of both, by a fork of a process."""

import gzip
import io
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator

import pytest

CHILD = """
import io, os, resource, sys, time
from pathlib import Path
from shared.contract.inputs import InputsForm
from shared.contract.options import Options
from tests.harness.archives import Taken
from web.http import validators
from web.http.problems import HttpProblem
from web.upload import archives
from web.upload.manifest import Manifest

class Counted(Taken):
    def begin(self, filename): pass
    def write(self, data): pass
    def refuse(self, code, detail): pass
    def end(self): pass
    def skip(self, filename, reason): pass

READ = {
    "archive": lambda data: archives.read(io.BytesIO(data), "archive", Counted(), 2**33),
    "manifest": lambda data: Manifest(io.BytesIO(data), 10**6, Path("/tmp")).check_taken(),
    "options": lambda data: validators.read_json(Options, data, validators.OPTIONS),
    "inputs": lambda data: validators.read_json(InputsForm, data, validators.BODY),
}
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

for line in sys.stdin:
    kind, path = line.split()
    if os.fork():
        os.wait()
        continue
    data = open(path, "rb").read()
    grown, began = peak(), time.process_time()
    try:
        READ[kind](data)
        code, size = "taken", 0
    except HttpProblem as problem:
        code, size = problem.code, len(str(problem.errors))
    print(code, time.process_time() - began, peak() - grown, size, flush=True)
    os._exit(0)
"""
MIB = 2**20
Cost = Callable[[str, bytes], tuple[str, float, int, int]]


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cost]:
    """(code, CPU seconds, MB by which the process grew, characters of the errors) of an input of a kind."""
    path = tmp_path_factory.mktemp("inputs") / "input"
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:

        def ask(kind: str, data: bytes) -> tuple[str, float, int, int]:
            assert child.stdout is not None
            path.write_bytes(data)
            print(kind, path, file=child.stdin, flush=True)
            code, seconds, grown, size = child.stdout.readline().split()
            return code, float(seconds), int(grown), int(size)

        yield ask


def pax_records() -> bytes:
    """20 MB of extended headers, full of records of six bytes."""
    records = b"6 a=b\n" * 10_900
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    header = info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)
    return gzip.compress(header * (20 * MIB // len(header)) + bytes(1024), 1)


def extra_fields() -> bytes:
    """A zip of 60 members with 16,000 empty extra fields each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(60):
            info = zipfile.ZipInfo(f"{number}.jpg")
            info.extra = struct.pack("<HH", 0x9999, 0) * 16_000
            archive.writestr(info, b"")
    return buffer.getvalue()


def empty_members() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}.jpg", b"")
    return buffer.getvalue()


def members_of_a_tar(kind: bytes) -> bytes:
    """20,000 members without content."""
    info = tarfile.TarInfo("member")
    info.type, info.linkname = kind, "elsewhere"
    return gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) * 20_000 + bytes(1024), 1)


def folders_of_a_zip() -> bytes:
    """500,000 folders in the directory; the end record stands for itself."""
    entry = zipfile.ZipInfo("a/")
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr(entry, b"")
    data = plain.getvalue()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    directory = data[start:end] * 500_000
    return (
        data[:start]
        + directory
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), start, 0)
    )


def map_of_a_sparse_file() -> bytes:
    """A member whose map goes on for 20,000 blocks."""
    info = tarfile.TarInfo("sparse.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[482] = 1
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    more = bytes(504) + b"\1" + bytes(7)
    return gzip.compress(bytes(head) + more * 20_000, 1)


EMPTY = {
    "folders": tarfile.DIRTYPE,
    "symbolic links": tarfile.SYMTYPE,
    "hard links": tarfile.LNKTYPE,
    "character devices": tarfile.CHRTYPE,
    "block devices": tarfile.BLKTYPE,
    "pipes": tarfile.FIFOTYPE,
    "extended headers": tarfile.XHDTYPE,
    "extended headers of Solaris": tarfile.SOLARIS_XHDTYPE,
    "global headers": tarfile.XGLTYPE,
    "long names": tarfile.GNUTYPE_LONGNAME,
    "long links": tarfile.GNUTYPE_LONGLINK,
    "unknown members": b"Z",
}
ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "records of extended headers": (pax_records, "invalid_archive"),
    "extra fields": (extra_fields, "invalid_archive"),
    "empty members": (empty_members, "taken"),
}
MANIFESTS = {
    "a header of commas": b"filename" + b"," * 15 * MIB + b"\nx\n",
    "a record of commas": b"filename\nx" + b"," * 15 * MIB,
    "wide characters": b"filename\n" + "\U0001f600,".encode() + b"a," * 7 * MIB,
    "a quoted cell": b'filename\n"' + b'""' * 7 * MIB + b'"',
    "a quoted cell of lines": b"filename\n" + b'"\n",' * 3 * MIB,
    "a line of JSON": b'{"filename":"a","metadata":{"a":[' + b"[]," * 5 * MIB + b"0]}}",
    "lines without images": b"filename\n" + b"".join(b"%d\n" % number for number in range(200_000)),
}
OPTIONS = {
    "values under a long name": b'{"metadata":{"' + b"k" * 500_000 + b'":[' + b"0," * 250_000 + b"0]}}",
    "faults under a long name": b'{"metadata":{"' + b"k" * 500_000 + b'":[' + rb'"\u0000",' * 49 + b"0]}}",
    "unknown names": b"{" + b",".join(b'"%06d":0' % number for number in range(90_000)) + b"}",
    "views": b'{"expected_views":[' + b'"a",' * 250_000 + b'"a"]}',
    "events": b'{"webhook":{"url":"http://a","events":[' + b'"batch.completed",' * 40_000 + b'"x"]}}',
    "brackets": b"[" * MIB,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_costs_little_for_each_of_its_bytes(cost: Cost, name: str) -> None:
    make, expected = ARCHIVES[name]
    code, seconds, grown, _ = cost("archive", make())
    assert (code, seconds < 3, grown < 40) == (expected, True, True), (code, seconds, grown)


@pytest.mark.parametrize("name", EMPTY)
def test_a_tar_of_members_that_are_no_files_is_refused_after_the_first_of_them(cost: Cost, name: str) -> None:
    code, seconds, grown, _ = cost("archive", members_of_a_tar(EMPTY[name]))
    assert (code, seconds < 1.5, grown < 20) == ("too_many_items", True, True), (code, seconds, grown)


def test_a_zip_of_half_a_million_folders_is_refused_at_once(cost: Cost) -> None:
    code, seconds, grown, _ = cost("archive", folders_of_a_zip())
    assert (code, seconds < 1.5, grown < 60) == ("too_many_items", True, True), (code, seconds, grown)


def test_a_map_of_a_sparse_file_without_end_is_refused_at_once(cost: Cost) -> None:
    code, seconds, _, _ = cost("archive", map_of_a_sparse_file())
    assert (code, seconds < 1.5) == ("invalid_archive", True), (code, seconds)


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_costs_little_for_each_of_its_bytes(cost: Cost, name: str) -> None:
    code, seconds, grown, _ = cost("manifest", MANIFESTS[name])
    assert (code, seconds < 4, grown < 60) == ("invalid_manifest", True, True), (code, seconds, grown)


@pytest.mark.slow
def test_a_manifest_of_a_million_lines_is_read_in_150_mb(cost: Cost) -> None:
    data = b"filename\n" + b"".join(b"%d\n" % number for number in range(999_999))
    code, _, grown, _ = cost("manifest", data)
    assert (code, grown < 150) == ("invalid_manifest", True), grown


@pytest.mark.parametrize("name", OPTIONS)
def test_json_costs_little_for_each_of_its_bytes(cost: Cost, name: str) -> None:
    code, seconds, grown, answered = cost("options", OPTIONS[name])
    assert (code, seconds < 2, grown < 60) == ("invalid_options", True, True), (code, seconds, grown)
    assert answered < 100_000


def test_a_list_of_empty_inputs_costs_little_for_each_of_its_bytes(cost: Cost) -> None:
    code, seconds, grown, _ = cost("inputs", b'{"inputs":[' + b"{}," * 340_000 + b"{}]}")
    assert (code, seconds < 2, grown < 60) == ("bad_request", True, True), (code, seconds, grown)
