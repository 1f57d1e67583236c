"""Fuzzers of the archive readers: broken archives end in an answer of ours, and damage is not taken for an image.

In the usual run they take seconds. `make fuzz` runs them, and the differential test of the multipart parser, for
about an hour.
"""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from shared.settings import Settings
from tests.harness import archives
from tests.harness.archives import Taken, tarred, zipped

IMAGES = {
    f"teil-{number}.jpg": b"\xff\xd8\xff" + zlib.crc32(bytes([number])).to_bytes(4, "big") * 60
    for number in range(3)
}
FILES = {**IMAGES, "Gehäuse/labels.csv": b"a,b\n" * 20}
STORED, DEFLATED = zipped(FILES), zipped(FILES, compression=zipfile.ZIP_DEFLATED)
TARS = [tarred(FILES, format=format) for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
COMPRESSED = [gzip.compress(data, mtime=0) for data in TARS]
SETTINGS = Settings(max_item_bytes=10_000)
MAX_BYTES = 200_000

Mutation = Callable[[bytes], bytes]
places = st.floats(0, 1, exclude_max=True)
EDGES = [
    *(b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"7777", b"x", b"L", b"S"),
    *(b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"),
]


def at(place: float, data: bytes) -> int:
    return int(place * max(1, len(data)))


def overwrite(place: float, new: bytes) -> Mutation:
    return lambda data: data[: at(place, data)] + new + data[at(place, data) + len(new) :]


def flip(place: float, bit: int) -> Mutation:
    return lambda data: overwrite(place, bytes([data[at(place, data)] ^ 1 << bit]))(data) if data else data


def cut(place: float) -> Mutation:
    return lambda data: data[: at(place, data)]


def insert(place: float, new: bytes) -> Mutation:
    return lambda data: data[: at(place, data)] + new + data[at(place, data) :]


def repeat(place: float, other: float) -> Mutation:
    return lambda data: data[: at(place, data)] + data[min(at(place, data), at(other, data)) :]


mutations = st.one_of(
    st.builds(flip, places, st.integers(0, 7)),
    st.builds(overwrite, places, st.sampled_from(EDGES) | st.binary(min_size=1, max_size=8)),
    st.builds(insert, places, st.sampled_from(EDGES) | st.binary(min_size=1, max_size=520)),
    st.builds(cut, places),
    st.builds(repeat, places, places),
)


def read(data: bytes, changes: list[Mutation]) -> Taken | None:
    """The outcome for a mutated archive; None if it was refused with one of our codes."""
    for change in changes:
        data = change(data)
    outcome = archives.read(data, SETTINGS, MAX_BYTES)
    if isinstance(outcome, Taken):
        assert sum(len(content) for _, content, _ in outcome.items) <= MAX_BYTES
        return outcome
    assert (outcome.status, outcome.code) in {
        (422, "invalid_archive"),
        (413, "too_many_items"),
        (413, "request_too_large"),
    }
    assert "object at 0x" not in outcome.detail
    return None


@given(st.sampled_from([STORED, DEFLATED]), st.lists(mutations, min_size=1, max_size=4))
def test_fuzz_a_zip_gives_whole_images_or_an_error(data: bytes, changes: list[Mutation]) -> None:
    taken = read(data, changes)
    if taken is not None:
        good = [content for _, content, error in taken.items if error is None]
        assert set(good) <= set(IMAGES.values())


@given(st.sampled_from(COMPRESSED), st.lists(mutations, min_size=1, max_size=4))
def test_fuzz_a_compressed_tar_is_whole_or_refused(data: bytes, changes: list[Mutation]) -> None:
    taken = read(data, changes)
    if taken is not None and (
        taken.items or taken.skipped
    ):  # bytes may become an empty zip, which holds nothing
        assert {name: content for name, content, _ in taken.items} == IMAGES
        assert [name for name, _ in taken.skipped] == ["Gehäuse/labels.csv"]


@given(st.sampled_from(TARS), st.lists(mutations, min_size=1, max_size=4))
def test_fuzz_a_tar_ends_in_an_answer(data: bytes, changes: list[Mutation]) -> None:
    read(data, changes)


@given(st.sampled_from(TARS), places)
def test_fuzz_a_tar_that_was_cut_anywhere_is_refused(data: bytes, place: float) -> None:
    """A single zero block of the end marker is enough; members end before it."""
    end = len(data.rstrip(b"\0"))
    members_end = end + -end % 512
    assert read(data[: at(place, data[:members_end])], []) is None


@given(st.sampled_from([b"", *EDGES, b"PK\x03\x04", b"\x1f\x8b\x08"]), st.binary(max_size=2000))
def test_fuzz_bytes_that_are_no_archive_are_refused(head: bytes, rest: bytes) -> None:
    taken = read(head + rest, [])
    assert taken is None or not taken.items
