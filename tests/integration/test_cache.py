"""The same bytes get the score that the same model gave them before, for the same tenant; on both databases."""

import csv
import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from shared.lifecycle import known_images
from shared.registry import versions
from shared.registry.artifact import read_artifact
from shared.store.tables import Batch, Chunk, KnownImage
from tests.harness.application import Application
from tests.harness.artifacts import write_untrained
from tests.harness.images import jpeg
from tests.harness.plans import plan, statements
from tests.harness.trips import counted
from worker.upkeep.site import Site, open_site
from worker.upkeep.steps import known

_CHANCE = random.Random(19)
EVIDENCE = (
    "score",
    "raw_score",
    "unfamiliarity",
    "kind",
    "model_sha256",
    "preprocessing_sha256",
    "worker",
    "device",
)
DAMAGED = b"\xff\xd8\xff not a JPEG"


@pytest.fixture(autouse=True)
def _caching(app: Application) -> Iterator[None]:
    with app.caching():
        yield


@pytest.fixture
def files() -> dict[str, bytes]:
    """Four images that no other test has sent."""
    return {f"{place}.jpg": jpeg(_CHANCE) for place in range(4)}


def judged(
    app: Application, files: dict[str, bytes], asked: Any = None, **options: Any
) -> list[dict[str, Any]]:
    """The items of a batch of these images."""
    batch = app.finished(files, asked, **options)
    assert batch["status"] == "completed"
    answer = app.get(f"/v1/batches/{batch['id']}/items", **options)
    return list(answer["data"])


def are_cached(items: list[dict[str, Any]]) -> list[bool]:
    assert all(item["cached"] == (item["cached_from"] is not None) for item in items)
    return [item["cached"] for item in items]


def entries(app: Application, batch_id: str) -> int:
    with app.database.read() as connection:
        found = select(func.count()).where(KnownImage.batch_id == batch_id)
        return int(connection.scalar(found) or 0)


def site_of(app: Application) -> Site:
    return open_site(app.runtime.settings)


def test_the_same_bytes_get_the_same_score_and_say_of_which_item_it_is(
    app: Application, files: dict[str, bytes]
) -> None:
    first = judged(app, files)
    assert are_cached(first) == [False] * 4
    app.runtime.tallies.write(app.database)  # those of other tests
    metrics = app.call("GET", "/metrics").text
    again = judged(app, {f"again-{name}": data for name, data in reversed(files.items())})
    assert are_cached(again) == [True] * 4
    for item, source in zip(again, reversed(first), strict=True):
        assert item["cached_from"] == source["id"]
        assert [item[name] for name in EVIDENCE] == [source[name] for name in EVIDENCE]
        assert item["verdict"] == source["verdict"]
        assert (item["timings"]["decode_ms"], item["timings"]["infer_ms"]) == (0, 0)
        assert item["attempts"] == 1
    third = judged(app, files)
    assert [item["cached_from"] for item in third] == [item["id"] for item in first], (
        "the item that was judged"
    )
    rows = csv.DictReader(
        io.StringIO(app.call("GET", f"/v1/batches/{third[0]['batch_id']}/results?format=csv").text)
    )
    assert [row["cached_from"] for row in rows] == [item["id"] for item in first]
    app.runtime.tallies.write(app.database)
    assert hits(app.call("GET", "/metrics").text) - hits(metrics) == 8


def hits(metrics: str) -> float:
    lines = [line for line in metrics.splitlines() if line.startswith("gonogo_cached_verdicts_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_the_verdict_is_that_of_the_batchs_own_operating_point(
    app: Application, files: dict[str, bytes]
) -> None:
    every = {"operating_point": {"threshold": 0.0, "review_band": [0.0, 0.0]}}
    none = {"operating_point": {"threshold": 1.0, "review_band": [1.0, 1.0]}}
    look = {"operating_point": {"threshold": 0.5, "review_band": [0.0, 1.0]}}
    first = judged(app, files, every)
    assert {item["verdict"] for item in first} == {"defect"}
    rescored = {"threshold": 1.0, "review_band": [1.0, 1.0]}
    assert app.call("POST", f"/v1/batches/{first[0]['batch_id']}/rescore", json=rescored).status_code == 200
    for asked, verdict, reasons in (
        (every, "defect", []),
        (none, "no_defect", []),
        (look, "review", ["low_confidence"]),
    ):
        items = judged(app, files, asked)
        assert are_cached(items) == [True] * 4
        assert {item["verdict"] for item in items} == {verdict}
        assert [item["reasons"] for item in items] == [reasons] * 4
        assert [item["threshold"] for item in items] == [asked["operating_point"]["threshold"]] * 4


def test_no_other_tenant_model_or_setting_finds_it(
    app: Application, files: dict[str, bytes], tmp_path: Path
) -> None:
    judged(app, files)
    other = app.make_key("other", "submit", "read")
    assert are_cached(judged(app, files, key=other)) == [False] * 4
    assert are_cached(judged(app, files, key=other)) == [True] * 4
    made = read_artifact(write_untrained(tmp_path / "other.gonogo", seed=19))
    model = versions.register(app.database, app.service.blobs, made, tenant="default")
    assert are_cached(judged(app, files, {"model": model})) == [False] * 4
    app.runtime.settings = app.service.settings
    assert app.runtime.settings.cache == "off"
    assert are_cached(judged(app, files)) == [False] * 4


def test_an_image_that_fails_is_judged_each_time(app: Application, files: dict[str, bytes]) -> None:
    mixed = {**files, "bad.jpg": DAMAGED + _CHANCE.randbytes(8)}
    judged(app, mixed)
    again = judged(app, mixed)
    assert are_cached(again) == [True] * 4 + [False]
    assert again[-1]["error"]["code"] == "corrupt_image"
    assert app.get(f"/v1/batches/{again[0]['batch_id']}")["counts"]["failed"] == 1
    retried = app.call("POST", f"/v1/batches/{again[0]['batch_id']}/retry")
    assert retried.status_code == 200, retried.text
    app.work()
    assert app.get(f"/v1/batches/{again[0]['batch_id']}")["counts"]["failed"] == 1


def test_a_deleted_batch_takes_its_scores_with_it(app: Application, files: dict[str, bytes]) -> None:
    first = judged(app, files)
    second = judged(app, files)
    assert entries(app, first[0]["batch_id"]) == 4
    assert app.call("DELETE", f"/v1/batches/{first[0]['batch_id']}").status_code == 204
    assert entries(app, first[0]["batch_id"]) == 0
    kept = app.get(f"/v1/items/{second[0]['id']}")
    assert kept == second[0], "it has the score for itself"
    assert are_cached(judged(app, files)) == [False] * 4


def test_a_rerun_by_the_same_model_takes_the_scores(app: Application, files: dict[str, bytes]) -> None:
    first = judged(app, files)[0]["batch_id"]
    again = app.call("POST", f"/v1/batches/{first}/rerun", json={"model": app.model_id}).get_json()["id"]
    app.work("low")
    assert are_cached(app.get(f"/v1/batches/{again}/items")["data"]) == [True] * 4


def test_the_sweep_notes_the_rest_of_a_large_batch(
    app: Application, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_images, "AT_END", 1)
    monkeypatch.setattr(known_images, "AT_ONCE", 2)
    batch_id = judged(app, files)[0]["batch_id"]
    site = site_of(app)
    assert batch_id in known.find(site, 1000)
    known.mend(site, [batch_id])
    known.mend(site, [batch_id])
    assert batch_id not in known.find(site, 1000)
    assert entries(app, batch_id) == 4
    site.database.dispose()


def test_a_cached_prediction_needs_no_bytes(app: Application, files: dict[str, bytes]) -> None:
    """The pack of the second batch is gone before its worker comes: only an item that must be judged reads it."""
    judged(app, files)
    batch = app.submit(files)
    app.service.blobs.pack_path(batch["id"], 0).unlink()
    app.work()
    assert app.get(f"/v1/batches/{batch['id']}")["counts"]["succeeded"] == 4


def test_the_cache_costs_one_statement_a_batch_and_one_a_chunk_with_hits(
    app: Application, images: dict[str, bytes]
) -> None:
    def work(files: dict[str, bytes]) -> tuple[int, int]:
        batch = app.submit(files, {"metadata": {}})
        with counted([app.runtime.database.engine]) as working:
            app.work()
        with app.database.read() as connection:
            chunks = connection.scalar(select(func.count()).where(Chunk.batch_id == batch["id"]))
        return working.statements, int(chunks or 0)

    fresh = {name: jpeg(_CHANCE, side=64) for name in list(images)[:120]}
    with app.caching():
        app.runtime.settings = app.service.settings
        work({name: jpeg(_CHANCE, side=64) for name in fresh})  # the first batch also loads the model
        without, chunks = work({name: jpeg(_CHANCE, side=64) for name in fresh})
    with_cache, same = work(fresh)
    assert (same, chunks > 1) == (chunks, True)
    assert with_cache == without + 1
    hit, same = work(fresh)
    assert (hit, same) == (with_cache + chunks, chunks)


def test_a_prediction_of_known_bytes_is_cached(
    app: Application, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = judged(app, files)
    hold = app.service.waiting.hold

    def work_and_hold(*arguments: Any, **named: Any) -> Any:
        app.work("interactive")
        return hold(*arguments, **named)

    monkeypatch.setattr(app.service.waiting, "hold", work_and_hold)
    for path in ("/v1/predict", "/predict"):
        given = app.call("POST", path, data=files["0.jpg"], content_type="image/jpeg")
        assert given.status_code == 200, given.text
        item = given.get_json()["item"]
        assert (item["cached"], item["cached_from"]) == (True, first[0]["id"])
        assert given.get_json()["probability"] == first[0]["score"]


def test_every_statement_of_the_cache_finds_its_rows_by_an_index(
    app: Application, files: dict[str, bytes]
) -> None:
    with statements(app.runtime.database.engine) as seen:
        judged(app, files)
        batch_id = judged(app, files)[0]["batch_id"]
        with app.runtime.database.write() as connection:
            known_images.unknown(connection, 1)
            known_images.forget(connection, batch_id)
    about = [(sql, given) for sql, given in seen if "known_images" in sql]
    assert len(about) >= 4
    for sql, given in about:
        found = plan(app.database, sql, given, small=True)
        for table in ("known_images", "items", "batches"):
            assert f"Seq Scan on {table}" not in found and f"SCAN {table}" not in found, (sql, found)
    with app.database.read() as connection:
        assert connection.scalar(select(Batch.known_seq).where(Batch.id == batch_id)) == 4
