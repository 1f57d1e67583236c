"""A manifest as people write it: by hand, from a spreadsheet, from a program; each bad line is named."""

import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.manifests import MANIFEST_COLUMNS, Tags
from web.http.problems import HttpProblem
from web.upload.manifest import Manifest, of_frame
from web.upload.manifest_text import Line, read_lines

LINES = b"filename,part_id\na.png,1\na.png,2\nb.png,3\ncaf\xc3\xa9.png,4\n"


def lines_of(data: bytes, most: int) -> list[Line]:
    ids: dict[str, int] = {}
    return list(itertools.chain.from_iterable(read_lines(io.BytesIO(data), most, ids.setdefault)))


def errors_of(data: bytes, most: int = 100) -> list[dict[str, Any]]:
    with pytest.raises(HttpProblem) as caught:
        lines_of(data, most)
    assert (caught.value.status, caught.value.code) == (422, "invalid_manifest")
    return [dict(entry) for entry in caught.value.errors or []]


CSV = b'filename,custom_id,part_id,view,metadata\r\na.png,c-1,4711,top,"{""camera"": 2}"\r\nb.png,,4711,side,\r\n'
WANTED = [Tags("c-1", "4711", "top", {"camera": 2}), Tags(None, "4711", "side", None)]


@pytest.mark.parametrize(
    "data",
    [
        CSV,
        b"\xef\xbb\xbf" + CSV,
        CSV.replace(b"\r\n", b"\n"),
        CSV.replace(b",", b";"),
        CSV.replace(b",", b"\t"),
        b"\r\n" + CSV + b"\r\n\r\n",
        b'{"filename":"a.png","custom_id":"c-1","part_id":"4711","view":"top","metadata":{"camera":2}}\n\n'
        b'{"filename":"b.png","part_id":"4711","view":"side","custom_id":null,"metadata":{}}',
    ],
)
def test_a_manifest_of_a_spreadsheet_or_a_program_is_read(data: bytes) -> None:
    lines = lines_of(data, 2)
    assert [line.filename for line in lines] == ["a.png", "b.png"]
    assert [line.tags for line in lines] == WANTED


def test_a_cell_that_was_defused_for_a_spreadsheet_is_the_text_again() -> None:
    data = b"filename,part_id,view\n'=1.png,'-5,'left'\n''=1.png,4711,it's\n"
    lines = lines_of(data, 2)
    assert [line.filename for line in lines] == ["=1.png", "'=1.png"]
    assert [(line.tags.part_id, line.tags.view) for line in lines] == [("-5", "'left'"), ("4711", "it's")]


@pytest.mark.parametrize(
    ("data", "line", "pointer", "said"),
    [
        (b"", 1, "/manifest", "empty"),
        (b"name,part_id\na,1\n", 1, "/manifest", "unknown column 'name'"),
        (b"part_id\n1\n", 1, "/manifest", "filename"),
        (b"filename,filename\n1,1\n", 1, "/manifest", "at most once"),
        (b"filename,view\na.png,top\n,side\n", 3, "/manifest/1/filename", "required"),
        (b"filename,view\na.png,top,x\n", 2, "/manifest", "3 cells"),
        (b'filename,view\n"a.png,top\n', 2, "/manifest", "no CSV"),
        (b"filename,metadata\na.png,{\n", 2, "/manifest", "not JSON"),
        (b"filename,metadata\na.png,[]\n", 2, "/manifest/0/metadata", "object"),
        (b"filename,part_id\na.png," + b"x" * 201 + b"\n", 2, "/manifest/0/part_id", "200"),
        (b"filename,part_id\na.png,\x01\n", 2, "/manifest/0/part_id", "control"),
        (b"filename\na.png\n\xe4.png\n", 3, "/manifest", "UTF-8"),
        (b'{"filename":"a"}\n{"filename":"b",}\n', 2, "/manifest", "not JSON"),
        (b'{"filename":"a"}\n\n{"filename":"b","part":"1"}\n', 3, "/manifest/1/part", "unknown"),
        (b'{"filename":"a","custom_id":7}\n', 1, "/manifest/0/custom_id", "string"),
    ],
)
def test_a_bad_line_is_named_with_its_place(data: bytes, line: int, pointer: str, said: str) -> None:
    (entry,) = errors_of(data)
    assert (entry["line"], entry["pointer"]) == (line, pointer)
    assert said in entry["detail"]


def test_every_bad_line_is_named_up_to_fifty() -> None:
    rows = [f'{{"filename":"{number}","custom_id":7}}' for number in range(80)]
    found = errors_of("\n".join(rows).encode())
    assert [entry["line"] for entry in found] == list(range(1, 51))
    assert found[3]["filename"] == "3"


def test_a_repeated_custom_id_names_both_lines() -> None:
    (entry,) = errors_of(b"filename,custom_id\na,x\nb,y\nc,x\n")
    assert (entry["code"], entry["line"], entry["filename"]) == ("duplicate_custom_id", 4, "c")
    assert "line 2" in entry["detail"]


def test_a_manifest_has_no_more_lines_than_a_batch_has_items() -> None:
    with pytest.raises(HttpProblem) as caught:
        lines_of(b"filename\na\nb\nc\n", 2)
    assert caught.value.status == 413


def test_images_of_one_name_take_its_lines_in_turn_and_the_others_are_named(tmp_path: Path) -> None:
    manifest = Manifest(io.BytesIO(LINES), 9, tmp_path)
    taken = [manifest.take(name) for name in ("a.png", "a.png", "a.png", "none.png", "cafe\u0301.png")]
    assert [tags and tags.part_id for tags in taken] == ["1", "2", None, None, "4"]
    with pytest.raises(HttpProblem) as caught:
        manifest.check_taken()
    (entry,) = caught.value.errors or []
    assert (entry["code"], entry["line"], entry["filename"]) == ("unknown_file", 4, "b.png")


def test_the_images_of_one_file_have_custom_ids_of_their_own() -> None:
    tags = Tags("c", "4711")
    assert [of_frame(tags, number, 2).custom_id for number in (1, 2)] == ["c#1", "c#2"]
    assert of_frame(tags, 1, 1) == tags


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", b"filename,custom_id,metadata\n", b"{"):
        try:
            lines = lines_of(start + data, 100)
        except HttpProblem as problem:
            assert problem.status in (413, 422)
            json.dumps(problem.errors)
        else:
            assert all(line.filename for line in lines)
    assert set(MANIFEST_COLUMNS) == {"filename", *Tags._fields}
