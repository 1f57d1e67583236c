"""Chunks follow the speed that workers report, on both databases."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from shared.clock import now
from shared.lifecycle import open_work
from shared.store.tables import Chunk, Worker
from tests.harness.application import Application
from web.upload import chunk_size
from web.upload.intake import Intake
from web.upload.options import read_options


@pytest.fixture(autouse=True)
def no_workers(app: Application) -> Iterator[None]:
    yield
    with app.database.write() as connection:
        connection.execute(delete(Worker))


def add_worker(
    app: Application, speed: float | None, lanes: tuple[str, ...] = ("normal", "low"), ago: float = 0
) -> None:
    with app.database.write() as connection:
        connection.execute(
            insert(Worker).values(
                id=f"h:{now()}", host="h", pid=1, lanes=list(lanes), device="cpu", engine="e", threads=1, models=[],
                started_at=now(), last_seen_at=now() - ago, items=0, items_per_s=speed,
            )
        )  # fmt: skip


def by_speed(app: Application, lane: str = "normal", **changed: float) -> int:
    asked: dict[str, Any] = {"chunk_items": 4096, "chunk_s": 0.5, "interactive_chunk_s": 0.1, **changed}
    settings = replace(app.service.settings, **asked)
    with app.database.read() as connection:
        return chunk_size.by_speed(open_work.mean_speed(connection, lane, settings.lease_s), settings, lane)


def test_a_chunk_is_some_time_of_the_mean_worker_of_its_lane(app: Application) -> None:
    add_worker(app, 400.0)
    add_worker(app, 600.0)
    add_worker(app, 10.0, lanes=("interactive",))
    add_worker(app, None)
    assert by_speed(app) == 250
    assert by_speed(app, "low", chunk_s=1.0) == 500


def test_while_no_worker_has_reported_a_speed_it_is_256_items(app: Application) -> None:
    add_worker(app, None)
    add_worker(app, 20_000.0, ago=1000.0)
    assert by_speed(app) == 256


def test_it_is_never_less_than_a_micro_batch_nor_more_than_what_is_set(app: Application) -> None:
    add_worker(app, 5.0)
    assert by_speed(app) == 32
    add_worker(app, 200_000.0)
    assert by_speed(app) == 4096
    assert by_speed(app, chunk_items=7) == 7


def test_in_the_interactive_lane_it_is_much_smaller(app: Application) -> None:
    """A person who waits for one verdict waits for the chunk in hand first."""
    assert by_speed(app, "interactive") == 16, "while no worker has reported a speed"
    add_worker(app, 2000.0, lanes=("interactive",))
    assert by_speed(app, "interactive") == 200
    assert by_speed(app, "interactive", interactive_chunk_s=0.0001) == 1


def test_an_upload_is_cut_by_the_speed_of_the_moment(app: Application) -> None:
    add_worker(app, 50 / app.service.settings.chunk_s)
    assert cut(app, images=32 + 50 + 50, length=10**6) == [32, 50, 50]
    add_worker(app, 250 / app.service.settings.chunk_s)
    assert cut(app, images=32 + 64 + 128 + 150, length=10**6) == [32, 64, 128, 150]


def test_an_upload_that_does_not_say_its_length_is_taken_to_go_on(app: Application) -> None:
    """As long again as it has been: a quarter of that is the next chunk."""
    assert cut(app, images=32 + 32 + 32 + 32 + 42, length=None) == [32, 32, 32, 32, 42]


def cut(app: Application, *, images: int, length: int | None) -> list[int]:
    """The chunks that an upload of so many images, of a byte each, was cut into before its end."""
    intake = Intake(app.service, "t", options=read_options())
    intake.expect(length)
    for number in range(images):
        intake.begin(f"{number}.jpg")
        intake.write(b"x")
        intake.end()
    query = select(Chunk.first_seq, Chunk.last_seq).where(Chunk.batch_id == intake.batch_id)
    with app.database.read() as connection:
        made = [last - first + 1 for first, last in connection.execute(query.order_by(Chunk.id))]
    intake.abandon()
    return made
