"""The cost of an image must not grow unnoticed: tests count round trips per chunk and compare CPU with a margin."""

import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from shared.registry.artifact import read_artifact
from shared.store.tables import Chunk
from shared.vision.preprocess import decode
from tests.harness.application import Application
from tests.harness.trips import Trips, counted
from worker.inference.engines.cpu import OnnxEngine

pytestmark = pytest.mark.timeout(120)


def chunks_of(app: Application, batch_id: str) -> int:
    with app.database.read() as connection:
        return int(connection.scalar(select(func.count()).where(Chunk.batch_id == batch_id)) or 0)


def run(app: Application, files: dict[str, bytes]) -> tuple[int, Trips, Trips]:
    """Chunks, and the trips of the upload and of the work on it."""
    with counted([app.database.engine]) as uploading:
        batch = app.submit(files, {"metadata": {}})
    with counted([app.runtime.database.engine]) as working:
        app.work()
    assert app.get(f"/v1/batches/{batch['id']}")["counts"]["succeeded"] == len(files)
    return chunks_of(app, batch["id"]), uploading, working


def test_database_trips_go_by_chunks_and_none_by_items(
    app: Application, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A web process looks up open work and quotas once a second, and a key every three: on a busy machine, such a
    # second passes between two submissions of this test.
    monkeypatch.setattr(app.service.capacity, "remember_s", 600.0)
    monkeypatch.setattr("web.http.known_keys._REMEMBER_S", 600.0)
    run(app, dict(list(images.items())[:2]))  # models are loaded and keys looked up
    few_chunks, few_uploading, few_working = run(app, dict(list(images.items())[:16]))
    many_chunks, uploading, working = run(app, images)
    assert few_chunks == 1
    assert many_chunks >= 4
    more = many_chunks - few_chunks
    audited = (
        3  # the entry of the submission: the head of a chain is read, the entry inserted, the head moved
    )
    told = 2  # the event of the submission, and the look for its listeners
    assert few_uploading.statements <= 6 + audited + told
    # Four of them name the batch, its key and its seal.
    assert uploading.statements <= 4 * many_chunks + 4 + audited + told
    assert uploading.commits - few_uploading.commits <= more
    filled = 3  # a claim of the last, small chunk looks for others that fill its micro-batch
    assert working.statements - few_working.statements <= 8 * more + filled
    assert working.commits - few_working.commits <= 2 * more
    assert few_uploading.commits <= 4
    assert few_working.commits <= 4


def test_a_chunk_is_one_message(
    app: Application, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(app.service.announcer, "chunk_queued", sent.append)
    batch = app.submit(images, {"metadata": {}})
    assert sent == ["normal"] * chunks_of(app, batch["id"])
    app.work()


def moved() -> tuple[int, int]:
    """Bytes that this process has read and written by system calls so far, sockets aside."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"]), int(counters["wchar"])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="this system does not count them")
def test_bytes_are_written_once_and_read_once(app: Application, images: dict[str, bytes]) -> None:
    """A spool file, a copy an image or a second look at the pack would each add the whole size again."""
    app.finished(dict(list(images.items())[:2]))  # the model is read
    large = {name: data + bytes(300_000) for name, data in images.items()}  # decoders stop at an image's end
    size = sum(map(len, large.values()))
    start = moved()
    batch = app.submit(large, {"metadata": {}})
    stored = moved()
    app.work()
    end = moved()
    assert app.get(f"/v1/batches/{batch['id']}")["counts"]["succeeded"] == len(large)
    uploading = [(after - before) / size for before, after in zip(start, stored, strict=True)]
    working = [(after - before) / size for before, after in zip(stored, end, strict=True)]
    assert uploading == [pytest.approx(0, abs=0.1), pytest.approx(1, abs=0.1)], "read, written"
    assert working == [pytest.approx(1, abs=0.1), pytest.approx(0, abs=0.1)], "read, written"


@pytest.mark.pace
def test_the_whole_way_costs_an_image_little_more_than_its_decode_and_forward(
    app: Application, artifact: Path, images: dict[str, bytes]
) -> None:
    """Very wide: these images are tiny, so 2 to 3 times the bare loop's CPU is usual, and a busy machine was
    seen to make that 4. A commit, a message or a file for each image would be far above 8."""
    model = read_artifact(artifact)
    engine = OnnxEngine(model, threads=1)
    app.finished(images)
    costs, bare = [], []
    for _ in range(3):
        started = time.process_time()
        app.finished(images, {"metadata": {}})
        between = time.process_time()
        arrays = [decode(data, model.preprocessing) for data in images.values()]
        for first in range(0, len(arrays), 32):
            engine.predict(np.stack(arrays[first : first + 32]))
        costs.append(between - started)
        bare.append(time.process_time() - between)
    assert min(costs) < 8 * min(bare), (
        f"{1000 * min(costs) / len(images):.3f} ms of CPU an image, "
        f"the bare loop {1000 * min(bare) / len(images):.3f}"
    )
