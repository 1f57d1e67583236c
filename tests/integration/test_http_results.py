"""The results of a batch as NDJSON, CSV and Parquet: filtered, resumed after a cut, and whole or seen to be cut."""

import csv
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import pyarrow
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update

from shared.contract.csv_columns import CSV_COLUMNS
from shared.contract.queries import ResultsQuery
from shared.lifecycle.purging import purge_rows
from shared.store.tables import Item, ModelVersion
from tests.faults.hostile import finished_batch
from tests.harness.application import Application
from tests.harness.many_parts import fill
from web.resources import batches, parquet, results

MEDIA_TYPE = "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def batch(app: Application, images: dict[str, bytes]) -> dict[str, Any]:
    """40 items, all ended: 37 verdicts and 3 failures."""
    files = {f"part-{number:02d}.jpg": data for number, data in enumerate(list(images.values())[:37])}
    files |= {"broken, x.jpg": b"\xff\xd8\xff broken", "=1+1.jpg": b"", "größe.jpg": b"no image at all"}
    lines = [
        json.dumps({"filename": name, "custom_id": f"c-{number}", "part_id": f"SN-{number // 2}", "view": "top",
                    "metadata": {"shift": "früh", "n": number}})
        for number, name in enumerate(files)
    ]  # fmt: skip
    parts = [("manifest", "m.ndjson", "\n".join(lines).encode())]
    parts += [("images", name, data) for name, data in files.items()]
    made = app.post_form("/v1/batches", *parts).get_json()
    app.work()
    ended = app.get(f"/v1/batches/{made['id']}")
    assert (ended["status"], ended["counts"]["failed"]) == ("completed", 3)
    return ended  # type: ignore[no-any-return]


def read(app: Application, batch_id: str, query: str = "", **headers: str) -> pyarrow.Table:
    response = app.call("GET", f"/v1/batches/{batch_id}/results?format=parquet{query}", **headers)
    assert (response.status_code, response.mimetype) == (200, MEDIA_TYPE)
    return pq.read_table(io.BytesIO(response.data))


def test_parquet_holds_the_items_with_typed_columns(app: Application, batch: dict[str, Any]) -> None:
    table = read(app, batch["id"])
    assert tuple(table.column_names) == CSV_COLUMNS
    types = {field.name: field.type for field in table.schema}
    assert types["score"] == pyarrow.float64()
    assert types["attempts"] == types["frame"] == pyarrow.int32()
    assert types["finished_at"] == types["created_at"] == pyarrow.timestamp("ms", "UTC")
    assert types["reasons"] == pyarrow.list_(pyarrow.string())
    for row, item in zip(table.to_pylist(), app.results(batch["id"]), strict=True):
        error = item["error"] or {"code": None, "detail": None}
        shown = {name: item[name] for name in CSV_COLUMNS if name in item}
        review = item["review"] or dict.fromkeys(("verdict", "by", "at", "note"))
        shown |= {f"review_{name}": review[name] for name in ("verdict", "by", "at", "note")}
        shown["review_low"], shown["review_high"] = item["review_band"] or (None, None)
        shown |= item["timings"]
        shown |= {"error_code": error["code"], "error_detail": error["detail"], "metadata": item["metadata"]}
        shown |= {name: datetime.fromisoformat(item[name]) for name in ("created_at", "finished_at")}
        assert {**row, "metadata": json.loads(row["metadata"])} == shown


def test_parquet_is_asked_for_by_its_media_type(app: Application, batch: dict[str, Any]) -> None:
    path = f"/v1/batches/{batch['id']}/results"
    response = app.call("GET", path, Accept=f"text/csv;q=0.5, {MEDIA_TYPE}")
    assert (response.mimetype, response.headers["Vary"]) == (MEDIA_TYPE, "Accept")
    assert f'filename="{batch["id"]}.parquet"' in response.headers["Content-Disposition"]


def test_without_pyarrow_parquet_is_refused_by_name(
    app: Application, batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as Python has it where the package is not there
    path = f"/v1/batches/{batch['id']}/results"
    for refused in (app.call("GET", f"{path}?format=parquet"), app.call("GET", path, Accept=MEDIA_TYPE)):
        assert (refused.status_code, refused.get_json()["code"]) == (406, "parquet_not_installed")
    other = app.call("GET", path, Accept=f"{MEDIA_TYPE}, text/csv;q=0.1")
    assert (other.status_code, other.mimetype) == (200, "text/csv")


def test_a_parquet_file_that_was_cut_anywhere_is_refused_by_its_reader(
    app: Application, batch: dict[str, Any]
) -> None:
    data = app.call("GET", f"/v1/batches/{batch['id']}/results?format=parquet").data
    assert pq.read_table(io.BytesIO(data)).num_rows == 40
    for length in {0, 1, 4, 8, *range(0, len(data), 97), len(data) - 9, len(data) - 8, len(data) - 1}:
        with pytest.raises((pyarrow.ArrowInvalid, OSError)):
            pq.read_table(io.BytesIO(data[:length]))


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
@pytest.mark.parametrize("query", ["", "&verdict=defect,no_defect,review"])
def test_results_break_off_where_the_batch_is_deleted_meanwhile(
    app: Application, form: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_ROWS", 100)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 100)
    (made,) = fill(app.database, "default", batches=1, parts=150)
    response = app.call("GET", f"/v1/batches/{made}/results?format={form}{query}", buffered=False)
    blocks = cast(Iterator[bytes], iter(response.response))
    first = next(blocks)
    with app.database.write() as connection:
        assert purge_rows(connection, made)
    with pytest.raises(results.CutShort):
        first += b"".join(blocks)
    if form == "parquet":
        with pytest.raises(pyarrow.ArrowInvalid):
            pq.read_table(io.BytesIO(first))


@pytest.mark.parametrize(
    "query", ["status=failed", "verdict=defect", "verdict=no_defect,review&status=succeeded"]
)
def test_every_form_takes_the_filters_of_the_items(
    app: Application, batch: dict[str, Any], query: str
) -> None:
    wanted = [item["id"] for item in app.get(f"/v1/batches/{batch['id']}/items?limit=1000&{query}")["data"]]
    path = f"/v1/batches/{batch['id']}/results?{query}"
    assert [json.loads(line)["id"] for line in app.call("GET", path).text.splitlines()] == wanted
    rows = csv.DictReader(io.StringIO(app.call("GET", f"{path}&format=csv").text))
    assert [row["id"] for row in rows] == wanted
    assert read(app, batch["id"], f"&{query}")["id"].to_pylist() == wanted
    assert wanted or "defect" in query


def test_a_reader_goes_on_after_the_last_whole_line(app: Application, batch: dict[str, Any]) -> None:
    path = f"/v1/batches/{batch['id']}/results"
    for form in ("ndjson", "csv"):
        whole = app.call("GET", f"{path}?format={form}").data
        for cut in (len(whole) // 3, len(whole) - 1):
            kept = whole[: whole.rindex(b"\n", 0, cut) + 1]
            last = kept.splitlines()[-1].decode()
            item = json.loads(last)["id"] if form == "ndjson" else next(csv.reader([last]))[0]
            assert kept + app.call("GET", f"{path}?format={form}&after={item}").data == whole
    ids = read(app, batch["id"])["id"].to_pylist()
    assert read(app, batch["id"], f"&after={ids[24]}")["id"].to_pylist() == ids[25:]
    assert read(app, batch["id"], f"&after={ids[-1]}").num_rows == 0


def test_after_names_an_item_of_the_batch(app: Application, batch: dict[str, Any]) -> None:
    other = app.results(app.finished({"a.jpg": b"x"})["id"])[0]["id"]
    beyond = app.results(batch["id"])[-1]["id"][:-6] + "00z000"
    for item, status in ((other, 422), (beyond, 422), ("", 400), ("7", 400), (batch["id"], 400)):
        answer = app.call("GET", f"/v1/batches/{batch['id']}/results?after={item}")
        assert answer.status_code == status, item
        assert [each["pointer"] for each in answer.get_json()["errors"]] == ["/query/after"]


def test_the_file_of_a_running_batch_says_so(app: Application, images: dict[str, bytes]) -> None:
    running = app.submit(dict(list(images.items())[:3]))
    response = app.call("GET", f"/v1/batches/{running['id']}/results?format=parquet")
    assert response.headers["X-Incomplete"] == "true"
    about = pq.read_schema(io.BytesIO(response.data)).metadata
    assert about[b"gonogo.incomplete"] == b"true"
    app.work()
    about = read(app, running["id"]).schema.metadata
    assert (about[b"gonogo.incomplete"], about[b"gonogo.batch_id"].decode()) == (b"false", running["id"])


def test_a_parquet_file_is_written_with_flat_memory(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of ten times as many items costs no more memory."""
    monkeypatch.setattr(results, "MOST_ROWS", 200)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 1000)
    few, many = (
        _peak(app, fill(app.database, "default", batches=1, parts=parts)[0]) for parts in (1000, 10_000)
    )
    assert many < 1.5 * few, (few, many)


def _peak(app: Application, batch_id: str) -> int:
    """The most bytes that Python and Arrow held at once while the file was written, and its blocks dropped."""
    row, query = batches.find(app.service, "default", batch_id), cast(ResultsQuery, {})
    pool, peak, written = pyarrow.default_memory_pool(), 0, 0
    before = pool.bytes_allocated()
    tracemalloc.start()
    found = results.blocks(app.database, row, query, results.COLUMNS)
    for block in parquet.parquet(found, row, incomplete=False):
        peak = max(peak, pool.bytes_allocated() - before + tracemalloc.get_traced_memory()[1])
        written += len(block)
    tracemalloc.stop()
    assert written > row.total
    return peak


def test_a_block_is_small_at_first_and_whatever_its_items_hold(app: Application) -> None:
    """64 streams may be unread at once, and each has a block in memory."""
    with app.database.read() as connection:
        model_id = str(connection.scalar(select(ModelVersion.id).limit(1)))
    sizes, groups = [], []
    for note in (None, {"text": "x" * 4000}):
        batch_id = finished_batch(app.database, model_id, 6000)
        with app.database.write() as connection:
            connection.execute(update(Item).where(Item.batch_id == batch_id).values(metadata_=note))
        row, query = batches.find(app.service, "default", batch_id), cast(ResultsQuery, {})
        sizes.append([len(rows) for rows, *_ in results.blocks(app.database, row, query, results.ALL)])
        written = b"".join(
            parquet.parquet(results.blocks(app.database, row, query, results.COLUMNS), row, incomplete=False)
        )
        groups.append(pq.ParquetFile(io.BytesIO(written)).num_row_groups)
    assert groups[0] == 1 and groups[1] >= 24_000_000 // (2 * parquet.GROUP_BYTES), groups
    light, heavy = sizes
    assert light[:6] == [100, 200, 400, 800, 1600, 2000]
    assert sum(light) == sum(heavy) == 6000
    assert max(heavy) * 4000 <= 2**19
