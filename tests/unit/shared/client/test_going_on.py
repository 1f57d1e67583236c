"""A result file goes on after a connection that broke: no row is lost, none comes twice, and no mixture looks whole."""

import contextlib
from collections.abc import Iterator

import pytest

from shared.client import ApiError, ResultsCut
from shared.client import going_on as results
from shared.client.transport import Answer
from shared.ids import item_id, new_id

BATCH = new_id("bat")
IDS = [item_id(BATCH, seq) for seq in range(6)]
NDJSON = [f'{{"id":"{each}","filename":"a,\\"b"}}\n'.encode() for each in IDS]
CSV = [b"id,filename\r\n", *(f'{each},"a,""b"\r\n'.encode() for each in IDS)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PAUSE_S", 0.0)


class Service:
    """Serves rows behind an item; each connection breaks after so many bytes, the last number for ever."""

    def __init__(
        self, lines: list[bytes], *cuts: int | None, headers: list[dict[str, str]] | None = None
    ) -> None:
        self._lines, self._cuts, self._headers = lines, list(cuts), headers or [{}]
        self.asked: list[str | None] = []
        self.told: list[int] = []

    @contextlib.contextmanager
    def open(self, after: str | None) -> Iterator[results.Stream]:
        self.asked.append(after)
        number = len(self.asked) - 1
        body = b"".join(self._lines[self._begin(after) :])
        cut = self._cuts[min(number, len(self._cuts) - 1)]
        yield Answer(200, self._headers[min(number, len(self._headers) - 1)], b""), self._blocks(body, cut)

    def _begin(self, after: str | None) -> int:
        return 0 if after is None else 1 + [after.encode() in line for line in self._lines].index(True)

    def _blocks(self, body: bytes, cut: int | None) -> Iterator[bytes]:
        sent = body if cut is None else body[:cut]
        yield from (sent[start : start + 50] for start in range(0, len(sent), 50))
        if cut is not None:
            raise ResultsCut("broke off")

    def read(self) -> tuple[bytes, results.ResultsFile]:
        with self.open(None) as first:
            file = results.ResultsFile(results.is_running(first[0]), first[1])
            return b"".join(results.rows(file, first, self.open, self.told.append)), file


@pytest.mark.parametrize("lines", [NDJSON, CSV], ids=["ndjson", "csv"])
def test_a_file_that_is_cut_at_any_byte_comes_whole_and_each_row_once(lines: list[bytes]) -> None:
    whole = b"".join(lines)
    for cut in range(len(whole)):
        service = Service(lines, cut, cut // 2, None)
        assert service.read()[0] == whole, cut
        rows = sum(whole[:cut].count(each.encode()) for each in IDS)
        assert rows - 1 <= service.told[0] <= rows, "it says how many rows had come whole"


def test_it_ends_where_no_connection_gets_further() -> None:
    service = Service(NDJSON, 200, 10)
    with pytest.raises(ResultsCut, match="broke off"):
        service.read()
    assert service.asked == [None, *[IDS[2]] * 3]


def test_rows_of_two_operating_points_are_not_put_together() -> None:
    service = Service(NDJSON, 200, None, headers=[{"X-Revision": "0"}, {"X-Revision": "1"}])
    with pytest.raises(ResultsCut, match="rescored meanwhile"):
        service.read()


def test_a_batch_that_runs_again_is_incomplete_and_a_deleted_one_stays_cut() -> None:
    assert Service(NDJSON, 200, None, headers=[{}, {"X-Incomplete": "true"}]).read()[1].incomplete
    service = Service(NDJSON, 200)
    with service.open(None) as first:
        file = results.ResultsFile(False, first[1])

        def gone(after: str | None) -> contextlib.AbstractContextManager[results.Stream]:
            raise ApiError(404, "not_found", f"nothing behind {after}")

        with pytest.raises(ResultsCut):
            list(results.rows(file, first, gone, None))
