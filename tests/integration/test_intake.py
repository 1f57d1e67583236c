"""A submission is stored chunk by chunk: durable bytes before rows, rows before messages, all or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from shared.lifecycle import claims, purging
from shared.lifecycle.uploads import UploadLost
from shared.registry import activations, versions
from shared.registry.artifact import read_artifact
from shared.store.tables import Batch, BatchEvent, Chunk, Item
from tests.harness.application import Application, application
from tests.harness.artifacts import write_untrained
from tests.harness.databases import migrated_database_url
from web.http.problems import HttpProblem, as_problem
from web.upload.intake import Intake
from web.upload.options import read_options


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    """Chunks of two items, images of at most 1,000 bytes."""
    folder = tmp_path_factory.mktemp("installation")
    limits = {"chunk_items": 2, "max_item_bytes": 1000, "max_batch_items": 50, "upload_lease_s": 30.0}
    kind = request.param
    with (
        migrated_database_url(kind, folder) as url,
        application(folder, artifact, broker_url, url, **limits) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def other_model(app: Application, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_untrained(tmp_path_factory.mktemp("other") / "other.gonogo", seed=1, name="other")
    return versions.register(app.database, app.service.blobs, read_artifact(path))


def take(intake: Intake, *files: bytes) -> None:
    for number, data in enumerate(files):
        intake.begin(f"{intake.total + number}.jpg")
        intake.write(data)
        intake.end()


def chunks(app: Application, batch_id: str) -> list[tuple[str, int, int]]:
    query = (
        select(Chunk.status, Chunk.first_seq, Chunk.last_seq)
        .where(Chunk.batch_id == batch_id)
        .order_by(Chunk.id)
    )
    with app.database.read() as connection:
        return [(row.status, row.first_seq, row.last_seq) for row in connection.execute(query)]


def claimed_model(app: Application, lane: str) -> str | None:
    with app.database.write() as connection:
        held = claims.claim(connection, lanes=[lane], micro_batch=1, token="t", host="h", pid=1, lease_s=60)
    return held[0].model_id if held else None


@pytest.fixture(autouse=True)
def empty_queue(app: Application) -> Iterator[None]:
    yield
    with app.database.write() as connection:
        for table in (Chunk, Item, BatchEvent, Batch):
            connection.execute(table.__table__.delete())  # type: ignore[attr-defined]


def test_rows_name_only_bytes_that_are_there(app: Application) -> None:
    intake = Intake(app.service, "t", options=read_options())
    take(intake, b"one", b"twoo", b"three")
    with app.database.read() as connection:
        rows = connection.execute(
            select(Item.__table__).where(Item.batch_id == intake.batch_id).order_by(Item.seq)
        ).all()
    assert [app.service.blobs.read(intake.batch_id, row.pack, row.offset, row.length) for row in rows] == [
        b"one",
        b"twoo",
    ]
    intake.seal()
    assert app.service.blobs.read(intake.batch_id, 1, 0, 5) == b"three"


def test_with_options_first_chunks_start_while_the_upload_goes_on(app: Application) -> None:
    intake = Intake(app.service, "t", options=read_options('{"priority": "low"}'))
    take(intake, b"a", b"b", b"c")
    assert chunks(app, intake.batch_id) == [("queued", 0, 1)]
    intake.seal()
    assert chunks(app, intake.batch_id) == [("queued", 0, 1), ("queued", 2, 2)]


def test_without_options_chunks_wait_for_the_seal(app: Application) -> None:
    intake = Intake(app.service, "t")
    take(intake, b"a", b"b", b"c")
    assert chunks(app, intake.batch_id) == [("held", 0, 1)]
    intake.seal()
    assert chunks(app, intake.batch_id) == [("queued", 0, 1), ("queued", 2, 2)]


def test_no_chunk_starts_under_another_model_than_the_one_asked_for(
    app: Application, other_model: str
) -> None:
    intake = Intake(app.service, "t")
    take(intake, b"a", b"b")
    intake.set_options(read_options(f'{{"model": "{other_model}"}}'))
    take(intake, b"c", b"d")
    assert claimed_model(app, "normal") is None
    intake.seal()
    assert [claimed_model(app, "normal") for _ in range(2)] == [other_model] * 2


def test_a_batch_under_way_keeps_its_model_when_another_is_activated(
    app: Application, other_model: str
) -> None:
    intake = Intake(app.service, "t", options=read_options())
    take(intake, b"a", b"b")
    with app.database.write() as connection:
        activations.activate(connection, other_model)
    try:
        take(intake, b"c")
        intake.seal()
        assert [claimed_model(app, "normal") for _ in range(2)] == [app.model_id] * 2
    finally:
        with app.database.write() as connection:
            activations.activate(connection, app.model_id)


def test_an_image_over_the_limit_fails_alone_and_leaves_no_bytes(app: Application) -> None:
    intake = Intake(app.service, "t", options=read_options())
    take(intake, b"a" * 1000, b"b" * 1001, b"c")
    intake.seal()
    with app.database.read() as connection:
        rows = connection.execute(select(Item.__table__).where(Item.batch_id == intake.batch_id)).all()
        batch = connection.execute(select(Batch.__table__).where(Batch.id == intake.batch_id)).one()
    assert [row.status for row in rows] == ["queued", "failed", "queued"]
    assert rows[1].error_code == "too_large"
    assert rows[1].sha256 is None
    assert (batch.total, batch.queued, batch.failed, batch.bytes) == (3, 2, 1, 1001)
    assert app.service.blobs.pack_path(intake.batch_id, 0).stat().st_size == 1000


def test_a_batch_over_its_bound_is_refused(app: Application) -> None:
    intake = Intake(app.service, "t", options=read_options())
    take(intake, *[b"x"] * 50)
    with pytest.raises(HttpProblem, match="at most 50"):
        intake.begin("one too many")


def test_abandoning_leaves_neither_rows_nor_bytes(app: Application) -> None:
    intake = Intake(app.service, "t", options=read_options())
    take(intake, b"a", b"b", b"c")
    intake.begin("half.jpg")
    intake.write(b"half")
    intake.abandon()
    assert chunks(app, intake.batch_id) == []
    assert not app.service.blobs.batch_folder(intake.batch_id).exists()
    with app.database.read() as connection:
        assert connection.execute(select(Batch.id)).all() == []


def test_an_unfinished_upload_is_not_seen(app: Application) -> None:
    intake = Intake(app.service, "default", options=read_options())
    take(intake, b"a", b"b", b"c")
    assert app.call("GET", f"/v1/batches/{intake.batch_id}").status_code == 404
    assert app.get("/v1/batches")["data"] == []
    intake.seal()
    assert app.get(f"/v1/batches/{intake.batch_id}")["counts"]["total"] == 3


def test_an_upload_that_was_given_up_meanwhile_cannot_be_sealed(app: Application) -> None:
    intake = Intake(app.service, "t", options=read_options())
    take(intake, b"a", b"b")
    with app.database.write() as connection:
        assert purging.purge_rows(connection, intake.batch_id)
    with pytest.raises(UploadLost) as refused:
        intake.seal()
    problem = as_problem(refused.value)
    assert (problem.status, problem.code) == (409, "upload_lost")


def test_the_fingerprint_is_names_bytes_and_options(app: Application) -> None:
    def fingerprint(name: str, data: bytes, options: str) -> str:
        intake = Intake(app.service, "t", options=read_options(options), store=False)
        intake.begin(name)
        intake.write(data[:1])
        intake.write(data[1:])
        intake.end()
        return intake.fingerprint()

    same = fingerprint("a.jpg", b"abc", '{"priority": "low", "metadata": {}}')
    assert fingerprint("a.jpg", b"abc", '{"metadata": {}, "priority":"low"}') == same
    others = {
        fingerprint("b.jpg", b"abc", '{"priority": "low", "metadata": {}}'),
        fingerprint("a.jpg", b"abd", '{"priority": "low", "metadata": {}}'),
        fingerprint("a.jpg", b"abc", '{"priority": "normal", "metadata": {}}'),
    }
    assert same not in others
    assert len(others) == 3


@pytest.mark.parametrize("files", [(b"a",), (b"a", b"b", b"c")], ids=["in one chunk", "in two chunks"])
@pytest.mark.parametrize("committed", [True, False], ids=["made", "not made"])
def test_a_commit_whose_answer_never_comes_keeps_rows_and_bytes_together(
    app: Application, monkeypatch: pytest.MonkeyPatch, files: tuple[bytes, ...], committed: bool
) -> None:
    intake = Intake(app.service, "t", options=read_options())
    take(intake, *files)
    intact = app.service.database.write

    @contextmanager
    def breaking() -> Iterator[Connection]:
        monkeypatch.undo()
        with intact() as connection:
            yield connection
            if not committed:
                raise OperationalError("COMMIT", {}, Exception("the link is cut"))
        raise OperationalError("COMMIT", {}, Exception("the link is cut"))

    monkeypatch.setattr(app.service.database, "write", breaking)
    with pytest.raises(OperationalError):
        intake.seal()
    intake.abandon()
    packs = list(app.service.blobs.batch_folder(intake.batch_id).glob("*.pack"))
    with app.database.read() as connection:
        total = connection.scalar(select(Batch.total).where(Batch.id == intake.batch_id))
    if committed:
        assert total == len(files) and len(packs) == len(chunks(app, intake.batch_id))
    else:
        assert total is None and not packs and not chunks(app, intake.batch_id)
