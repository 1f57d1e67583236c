"""A zip whose directory leaves bytes out is refused: its images would vanish without a word."""

import io
import struct
import zipfile
from typing import Any

import pytest

from tests.harness import archives
from tests.harness.archives import Taken, zipped
from web.http.problems import HttpProblem

IMAGE = b"\xff\xd8\xff" + bytes(range(256))
DEFECTS = zipped({"defect-1.jpg": IMAGE + b"1", "defect-2.jpg": IMAGE + b"2"})
GOOD = zipped({"a.jpg": IMAGE + b"a", "b.jpg": IMAGE + b"b", "c.jpg": IMAGE + b"c"})
LOCAL, ENTRY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def places(data: bytes, signature: bytes) -> list[int]:
    return [at for at in range(len(data)) if data.startswith(signature, at)]


def with_directory(members: bytes, directory: bytes, count: int | None = None) -> bytes:
    entries = directory.count(ENTRY) if count is None else count
    end = END + struct.pack("<4H2LH", 0, 0, entries, entries, len(directory), len(members), 0)
    return members + directory + end


def parts(data: bytes) -> tuple[bytes, list[bytes]]:
    """The members of a zip, and the entries of its directory."""
    at, end = places(data, ENTRY), data.rfind(END)
    return data[: at[0]], [data[start:stop] for start, stop in zip(at, [*at[1:], end], strict=True)]


def moved(entry: bytes, offset: int) -> bytes:
    old = int.from_bytes(entry[42:46], "little")
    return entry[:42] + struct.pack("<L", old + offset) + entry[46:]


def left_out(number: int) -> bytes:
    """GOOD without one entry of its directory."""
    members, entries = parts(GOOD)
    return with_directory(members, b"".join(entries[:number] + entries[number + 1 :]))


def adjusted() -> bytes:
    """Joined zips whose last directory was moved along, as `zip --adjust-sfx` does."""
    members, entries = parts(GOOD)
    return with_directory(DEFECTS + members, b"".join(moved(entry, len(DEFECTS)) for entry in entries))


def swallowed() -> bytes:
    """The first entry claims the bytes of the second member too."""
    members, entries = parts(GOOD)
    starts = places(members, LOCAL)
    size = len(IMAGE) + 1 + starts[2] - starts[1]
    first = entries[0][:20] + struct.pack("<L", size) + entries[0][24:]
    return with_directory(members, first + entries[2])


def twice() -> bytes:
    members, entries = parts(GOOD)
    return with_directory(members, b"".join([*entries, entries[0]]))


def padded(size: int, byte: bytes = b"\0") -> bytes:
    """GOOD with padding between its first two members."""
    members, entries = parts(GOOD)
    second = places(members, LOCAL)[1]
    directory = entries[0] + b"".join(moved(entry, size) for entry in entries[1:])
    return with_directory(members[:second] + byte * size + members[second:], directory)


def streamed(force_zip64: bool = False, size: int = 3) -> bytes:
    """A zip written to a pipe, with data descriptors."""

    class Pipe(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(size):
            with archive.open(f"{number}.jpg", "w", force_zip64=force_zip64) as member:
                member.write(IMAGE + bytes([number]))
    return pipe.data


def commented(comment: bytes) -> bytes:
    buffer = io.BytesIO(GOOD)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = comment
    return buffer.getvalue()


def as_zip64(data: bytes, count: int = 3, plain: int = 0xFFFF) -> bytes:
    """The zip with a zip64 end record."""
    members, entries = parts(data)
    size = sum(map(len, entries))
    record = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, size, len(members))
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, len(members) + size, 1)
    end = END + struct.pack("<4H2LH", 0, 0, plain, plain, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return members + b"".join(entries) + record + locator + end


def with_counts(here: int, total: int) -> bytes:
    data = bytearray(GOOD)
    struct.pack_into("<2H", data, data.rfind(END) + 8, here, total)
    return bytes(data)


LOSING = {
    "joined": DEFECTS + GOOD,
    "joined and adjusted": adjusted(),
    "joined after an empty zip": zipped({}) + GOOD,
    "joined before one that was cut": GOOD + DEFECTS[:200],
    "a tar behind": GOOD + archives.tarred({"defect.jpg": IMAGE}),
    "another zip as its comment": commented(DEFECTS[: DEFECTS.rfind(END)]),
    "first left out": left_out(0),
    "second left out": left_out(1),
    "last left out": left_out(2),
    "all left out": with_directory(parts(GOOD)[0], b""),
    "a count of 1": with_counts(1, 1),
    "a count of 4": with_counts(4, 4),
    "a total of 4": with_counts(3, 4),
    "a count of 0": with_counts(0, 3),
    "a zip64 count of 1": as_zip64(GOOD, 1),
    "a plain count of 1 beside zip64": as_zip64(GOOD, 3, 1),
    "a size that swallows the next": swallowed(),
    "a member listed twice": twice(),
    "bytes between members": padded(40, b"x"),
    "long padding": padded(2**16 + 1),
}


@pytest.mark.parametrize("case", LOSING)
def test_a_zip_whose_directory_leaves_bytes_out_is_refused(case: str) -> None:
    result = archives.read(LOSING[case])
    assert isinstance(result, HttpProblem), result
    assert (result.status, result.code) == (422, "invalid_archive")
    assert "is damaged" not in result.detail  # the sentence says what disagrees


def counted_modulo() -> bytes:
    """70,000 members without zip64, as older tools write them. Hidden ones, which are not unpacked, take less time."""
    one, [entry] = parts(zipped({".x.jpg": b""}))
    count = 70_000
    directory = b"".join(moved(entry, number * len(one)) for number in range(count))
    return with_directory(one * count, directory, count & 0xFFFF)


WHOLE = {
    "a descriptor": (streamed(), 3),
    "a zip64 descriptor": (streamed(force_zip64=True), 3),
    "a comment": (commented(b"from camera 4"), 3),
    "zip64": (as_zip64(GOOD), 3),
    "zip64 with plain counts": (as_zip64(GOOD, 3, 3), 3),
    "aligned members": (padded(4096), 3),
    "most padding": (padded(2**16), 3),
    "zeros behind": (GOOD + bytes(512), 3),
    "the directory in another order": (
        with_directory(parts(GOOD)[0], b"".join(reversed(parts(GOOD)[1]))),
        3,
    ),
    "the mark of a split archive": (
        with_directory(b"PK\x07\x08" + parts(GOOD)[0], b"".join(moved(entry, 4) for entry in parts(GOOD)[1])),
        3,
    ),
    "an image that holds a zip": (zipped({"a.jpg": IMAGE + GOOD, "b.jpg": IMAGE + DEFECTS}), 2),
}


@pytest.mark.parametrize("case", WHOLE)
def test_every_member_of_a_whole_zip_is_taken_however_it_is_laid_out(case: str) -> None:
    data, count = WHOLE[case]
    result = archives.read(data)
    assert isinstance(result, Taken), result
    assert [error for _, _, error in result.items] == [None] * count


def test_a_count_modulo_65536_is_taken_without_zip64() -> None:
    result = archives.read(counted_modulo())
    assert isinstance(result, Taken), result
    assert len(result.skipped) == 70_000
