"""The option `frames`: by `split` each image of a file becomes an item, and the counts stay exact."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.harness.application import Application, application
from tests.harness.forms import image_parts, options_part
from worker.inference.drawings import draw_item

SPLIT = {"frames": "split"}


def pages(count: int, kind: str = "TIFF") -> bytes:
    """A file of so many images, each of another grey."""
    images = [Image.effect_noise((64, 64), 5 + 20 * place) for place in range(count)]
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:])
    return buffer.getvalue()


def shown(app: Application, batch: dict[str, Any]) -> list[tuple[str, int | None, str]]:
    return [(item["filename"], item["frame"], item["status"]) for item in app.results(batch["id"])]


def test_each_page_becomes_an_item_with_a_verdict_of_its_own(
    app: Application, images: dict[str, bytes]
) -> None:
    files = {
        "a.jpg": images["part-000.jpg"],
        "scan.tif": pages(3),
        "empty.tif": b"",
        "cut.tif": pages(2)[:60],
        "moving.png": pages(2, "PNG"),
        "b.jpg": images["part-001.jpg"],
    }
    batch = app.finished(files, SPLIT)
    assert shown(app, batch) == [
        ("a.jpg", None, "succeeded"), ("scan.tif", 1, "succeeded"), ("scan.tif", 2, "succeeded"),
        ("scan.tif", 3, "succeeded"), ("empty.tif", None, "failed"), ("cut.tif", None, "failed"),
        ("moving.png", 1, "succeeded"), ("moving.png", 2, "succeeded"), ("b.jpg", None, "succeeded"),
    ]  # fmt: skip
    counts = batch["counts"]
    assert (counts["total"], counts["succeeded"], counts["failed"]) == (9, 7, 2)
    first, second, third = app.results(batch["id"])[1:4]
    assert first["sha256"] == second["sha256"] == third["sha256"]
    assert len({first["score"], second["score"], third["score"]}) == 3
    table = csv.DictReader(io.StringIO(app.call("GET", f"/v1/batches/{batch['id']}/results?format=csv").text))
    assert [row["frame"] for row in table] == ["", "1", "2", "3", "", "", "1", "2", ""]
    thumbnails = set()
    for seq in (1, 2):
        draw_item(app.runtime, "thumbnail", batch["id"], seq)
        thumbnails.add(app.service.blobs.drawing_path("thumbnail", batch["id"], seq).read_bytes())
    assert len(thumbnails) == 2


def test_without_the_option_such_a_file_fails(app: Application) -> None:
    batch = app.finished({"scan.tif": pages(3)}, {})
    (item,) = app.results(batch["id"])
    assert (item["error"]["code"], item["frame"], batch["counts"]["total"]) == ("multiple_frames", None, 1)


def test_files_of_an_archive_are_split_wherever_the_options_stand(app: Application) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x/scan.tif", pages(4))
    parts = [("archive", "scans.zip", packed.getvalue()), options_part(SPLIT)]
    batch = app.post_form("/v1/batches", *parts).get_json()
    app.work()
    assert shown(app, batch) == [("x/scan.tif", place, "succeeded") for place in (1, 2, 3, 4)]


def test_options_behind_the_images_cannot_split_them(app: Application) -> None:
    parts = [*image_parts({"scan.tif": pages(2)}), options_part(SPLIT)]
    problem = app.post_form("/v1/batches", *parts).get_json()
    assert (problem["status"], problem["code"]) == (422, "invalid_options")
    assert [entry["pointer"] for entry in problem["errors"]] == ["/options/frames"]


def test_the_custom_ids_of_frames_are_unique_and_fit(app: Application, images: dict[str, bytes]) -> None:
    files, most = {"a.jpg": images["part-000.jpg"], "scan.tif": pages(2)}, 200
    for ids, code in (
        (("x#1", "x"), "duplicate_custom_id"),
        (("y", "z" * most), "invalid_manifest"),
        (("y", "z" * (most - 2)), ""),
    ):
        lines = "\n".join(
            ["filename,custom_id", *(f"{name},{each}" for name, each in zip(files, ids, strict=True))]
        )
        for parts in (
            [("manifest", "m.csv", lines.encode()), *image_parts(files)],
            [*image_parts(files), ("manifest", "m.csv", lines.encode())],
        ):
            answer = app.post_form("/v1/batches", options_part(SPLIT), *parts)
            assert (answer.status_code, answer.get_json().get("code", "")) == (422 if code else 202, code), (
                ids
            )
            app.work()


def test_a_retry_of_a_split_submission_gets_the_first_answer(app: Application) -> None:
    files, key = {"scan.tif": pages(3)}, "the same key"
    first = app.submit(files, SPLIT, Idempotency_Key=key)
    assert app.submit(files, SPLIT, Idempotency_Key=key)["id"] == first["id"]
    other = app.post_form("/v1/batches", options_part({}), *image_parts(files), Idempotency_Key=key)
    assert other.status_code == 422
    app.work()


def test_a_batch_cannot_be_made_too_large_by_the_images_in_its_files(
    artifact: Path, broker_url: str, tmp_path: Path
) -> None:
    with application(tmp_path, artifact, broker_url, max_batch_items=5) as app:
        answer = app.post_form("/v1/batches", options_part(SPLIT), *image_parts({"scan.tif": pages(6)}))
        assert (answer.status_code, answer.get_json()["code"]) == (413, "too_many_items")
        assert app.submit({"scan.tif": pages(5)}, SPLIT)["counts"]["total"] == 5
