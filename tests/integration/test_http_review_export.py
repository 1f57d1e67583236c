"""Reviewed images as a zip that the training reads."""

import csv
import io
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from shared.lifecycle import endings
from shared.lifecycle import verdicts as recording
from shared.lifecycle.verdicts import Result
from shared.store.tables import Item
from tests.harness.application import Application
from tests.harness.forms import image_parts, options_part
from tests.harness.images import jpegs
from tests.harness.rows import claim_all
from tests.integration.test_http_reviews import review
from training.data.load import load
from training.data.records import DataError, Source
from training.data.reviews import gather

LINE = iter(range(10_000))


def judged(app: Application, count: int, part: str = "SN") -> dict[str, Any]:
    """A batch of images of which each two show one part, all in review; its line, and its items by file name."""
    line, files = f"export {next(LINE)}", dict(jpegs(count, seed=5))
    names = list(files)
    manifest = "\n".join(
        ["filename,part_id", *(f"{name},{part}-{n // 2}" for n, name in enumerate(names)), ""]
    )
    parts = [
        options_part({"line": line, "priority": "low"}),
        ("manifest", "m.csv", manifest.encode()),
        *image_parts(files),
    ]
    answer = app.post_form("/v1/batches", *parts)
    assert answer.status_code == 202, answer.text
    while claims := claim_all(app.database, lanes=["low"]):
        for held in claims:
            results = [Result(item.seq, verdict="review", score=0.5) for item in held.items]
            with app.database.write() as connection:
                recording.record(connection, [(held, results)], model_sha256="f" * 64)
            with app.database.write() as connection:
                endings.complete(connection, held.batch_id)
    batch_id = answer.get_json()["id"]
    items = {item["filename"]: item for item in app.get(f"/v1/batches/{batch_id}/items?limit=1000")["data"]}
    return {"id": batch_id, "line": line, "files": files, "items": items}


def exported(app: Application, query: str, **options: Any) -> zipfile.ZipFile:
    answer = app.call("GET", f"/v1/reviews/export?{query}", **options)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    return zipfile.ZipFile(io.BytesIO(answer.data))


def test_the_export_holds_the_images_as_sent_with_label_and_part(app: Application, tmp_path: Path) -> None:
    batch = judged(app, 4)
    names = list(batch["files"])
    said = {names[0]: "defect", names[1]: "no_defect", names[3]: "defect"}
    for name, verdict in said.items():
        review(app, batch["items"][name]["id"], verdict=verdict)
    with app.database.write() as connection:
        one = (Item.batch_id == batch["id"], Item.seq == 3)
        connection.execute(update(Item).where(*one).values(frame=2))
    archive = exported(app, f"line={batch['line'].replace(' ', '%20')}")
    assert archive.testzip() is None
    rows = list(csv.DictReader(io.StringIO(archive.read("images.csv").decode())))
    found = {row["item"]: row for row in rows}
    for name in names[:2]:
        item = batch["items"][name]
        row = found[item["id"]]
        assert (row["label"], row["group"], row["sha256"]) == (said[name], "SN-0", item["sha256"])
        assert archive.read(row["file"]) == batch["files"][name]
        assert row["file"].startswith(f"{said[name]}/")
    assert len(rows) == 2
    assert batch["items"][names[3]]["id"] in archive.read("left_out.csv").decode()

    zipped = tmp_path / "reviews.zip"
    zipped.write_bytes(app.call("GET", f"/v1/reviews/export?batch_id={batch['id']}").data)
    alone = load(gather(str(zipped), tmp_path / "alone", key=None, besides=None))
    assert sorted((record.label, record.group) for record in alone) == [(0, "SN-0"), (1, "SN-0")]
    folder = tmp_path / "parts"
    for label in ("defect", "good"):
        (folder / label).mkdir(parents=True)
        (folder / label / "a.jpg").write_bytes(next(iter(batch["files"].values())))
    together = load(gather(str(zipped), tmp_path / "together", key=None, besides=Source(folder)))
    assert sorted(record.label for record in together) == [0, 0, 1, 1]
    assert all(record.path.is_file() for record in together)


def test_a_part_that_reads_like_a_formula_is_no_formula_and_the_same_part_again(
    app: Application, tmp_path: Path
) -> None:
    batch = judged(app, 2, part="=2+5")
    for item in batch["items"].values():
        review(app, item["id"])
    archive = exported(app, f"batch_id={batch['id']}")
    groups = [row["group"] for row in csv.DictReader(io.StringIO(archive.read("images.csv").decode()))]
    assert groups == ["'=2+5-0"] * 2
    zipped = tmp_path / "reviews.zip"
    zipped.write_bytes(app.call("GET", f"/v1/reviews/export?batch_id={batch['id']}").data)
    archive.extractall(tmp_path / "parts")
    for besides in (None, Source(tmp_path / "parts")):
        records = load(gather(str(zipped), tmp_path / "to", key=None, besides=besides))
        assert {record.group for record in records} == {"=2+5-0"}
    # The results of a batch as a spreadsheet saves them are a manifest of the same parts.
    lines = csv.DictReader(io.StringIO(app.call("GET", f"/v1/batches/{batch['id']}/results?format=csv").text))
    text = "\n".join(["filename,part_id", *(f"{line['filename']},{line['part_id']}" for line in lines)])
    made = app.post_form(
        "/v1/batches", ("manifest", "m.csv", text.encode()), *image_parts(batch["files"])
    ).get_json()
    parts = app.get(f"/v1/batches/{made['id']}/parts")["data"]
    assert [part["part_id"] for part in parts] == ["=2+5-0"]


def test_results_and_parts_show_the_persons_verdict_next_to_the_models(app: Application) -> None:
    batch = judged(app, 2)
    first, second = batch["items"].values()
    shown = review(app, first["id"], note="=a crack")["review"]
    text = app.call("GET", f"/v1/batches/{batch['id']}/results?format=csv").text
    told = {line["id"]: line for line in csv.DictReader(io.StringIO(text))}
    columns = ("verdict", "review_verdict", "review_by", "review_at", "review_note")
    said = ("review", "defect", "test", shown["at"], "'=a crack")
    assert [told[first["id"]][name] for name in columns] == [*said]
    assert [told[second["id"]][name] for name in columns] == ["review", "", "", "", ""]
    data = app.call("GET", f"/v1/batches/{batch['id']}/results?format=parquet").data
    rows = {row["id"]: row for row in pq.read_table(io.BytesIO(data)).to_pylist()}
    assert rows[first["id"]]["review_at"] == datetime.fromisoformat(shown["at"])
    assert [rows[first["id"]][f"review_{name}"] for name in ("verdict", "by", "note")] == [
        "defect", "test", "=a crack",
    ]  # fmt: skip
    assert rows[second["id"]]["review_verdict"] is None
    [part] = app.get(f"/v1/batches/{batch['id']}/parts")["data"]
    views = {view["item_id"]: (view["verdict"], view["review_verdict"]) for view in part["views"]}
    assert part["verdict"] == "defect"
    assert views == {first["id"]: ("review", "defect"), second["id"]: ("review", None)}


def test_a_review_that_was_taken_back_and_another_tenants_are_not_exported(app: Application) -> None:
    batch = judged(app, 2)
    first, second = (item["id"] for item in batch["items"].values())
    review(app, first)
    review(app, second)
    app.call("DELETE", f"/v1/items/{first}/review")
    rows = exported(app, f"batch_id={batch['id']}").read("images.csv").decode()
    assert first not in rows and second in rows
    rival = app.make_key("rival", "read")
    assert exported(app, "", key=rival).namelist() == ["images.csv"]
    assert exported(app, "window=60").read("images.csv").decode().count("\n") >= 2


def test_an_export_in_many_blocks_holds_each_image_once(app: Application) -> None:
    batch = judged(app, 120)
    for item in batch["items"].values():
        review(app, item["id"])
    archive = exported(app, f"batch_id={batch['id']}")
    files = [name for name in archive.namelist() if name != "images.csv"]
    assert len(files) == len({*files}) == 120


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reviews.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="no zip of reviewed images"):
        gather(str(tmp_path / "reviews.zip"), tmp_path / "to", key=None, besides=None)
