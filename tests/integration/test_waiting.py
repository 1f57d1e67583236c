"""A waiting poll is woken by a change, or by the slow look at the database where no call comes through."""

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.broker.wake import wake
from shared.cli.embedded.stack import valkey_binary
from shared.lifecycle import closing
from tests.harness.application import Application, application
from tests.harness.processes import until
from web.live import waits


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Valkey that a test may take away."""
    argv = [str(valkey_binary()), "--port", "0", "--unixsocket", str(tmp_path / "v"), "--dir", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    until((tmp_path / "v").exists, 20, "Valkey's socket")
    yield server
    server.kill()
    server.wait(20)


@pytest.fixture
def own(tmp_path: Path, artifact: Path, valkey: subprocess.Popen[bytes]) -> Iterator[Application]:
    with application(tmp_path, artifact, f"unix://{tmp_path / 'v'}") as made:
        until(lambda: listeners(made) == 1, 20, "the waiting room listens")
        yield made


def listeners(app: Application) -> int:
    broker = app.runtime.broker
    return int(broker.client.pubsub_numsub(broker.key("batches"))[0][1])


def poll(app: Application, path: str, before: Callable[[], Any], **options: Any) -> tuple[Any, float]:
    """Begin a waiting poll, do something, and return how long after that its answer came."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(app.call, "GET", path, **options)
        until(app.service.waiting.wakes.waiting, 20, "the poll waits")
        before()
        began = time.monotonic()
        return answer.result(90), time.monotonic() - began


def submit(app: Application, images: dict[str, bytes]) -> str:
    return str(app.submit(dict(list(images.items())[:2]))["id"])


@pytest.mark.pace
def test_a_wake_up_call_answers_a_poll_long_before_the_slow_look(
    own: Application, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "SLOW_CHECK_S", 60.0)
    batch_id = submit(own, images)
    answer, took = poll(own, f"/v1/batches/{batch_id}?wait=50", own.work)
    assert answer.get_json()["counts"]["queued"] == 0
    assert took < 25


def test_the_slow_look_answers_a_poll_while_the_broker_is_away(
    own: Application, images: dict[str, bytes], valkey: subprocess.Popen[bytes]
) -> None:
    batch_id = submit(own, images)
    valkey.kill()
    valkey.wait(20)
    answer, took = poll(own, f"/v1/batches/{batch_id}?wait=50", own.work)
    assert answer.get_json()["status"] == "completed"
    assert took < 40


def test_listening_goes_on_when_the_broker_is_back(
    own: Application, tmp_path: Path, images: dict[str, bytes], valkey: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    valkey.kill()
    valkey.wait(20)
    (tmp_path / "v").unlink()
    again = subprocess.Popen(valkey.args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until((tmp_path / "v").exists, 20, "Valkey's socket")
        until(lambda: listeners(own) == 1, 40, "the waiting room listens again")
        monkeypatch.setattr(waits, "SLOW_CHECK_S", 60.0)
        batch_id = submit(own, images)
        assert poll(own, f"/v1/batches/{batch_id}?wait=50", own.work)[1] < 25
    finally:
        again.kill()
        again.wait(20)


def test_a_change_of_another_batch_is_not_an_answer(app: Application, images: dict[str, bytes]) -> None:
    batch_id, other = submit(app, images), submit(app, images)
    first = app.call("GET", f"/v1/batches/{batch_id}")

    def change_other() -> None:
        with app.database.write() as connection:
            closing.cancel(connection, other)
        wake(app.runtime.broker, other)

    options = {"If_None_Match": first.headers["ETag"]}
    answer, _ = poll(app, f"/v1/batches/{batch_id}?wait=2", change_other, **options)
    assert (answer.status_code, answer.data) == (304, b"")


def test_a_poll_that_is_behind_is_answered_at_once(app: Application, images: dict[str, bytes]) -> None:
    batch_id = submit(app, images)
    old = app.call("GET", f"/v1/batches/{batch_id}").headers["ETag"]
    with app.database.write() as connection:
        closing.cancel(connection, batch_id)
    began = time.monotonic()
    answer = app.call("GET", f"/v1/batches/{batch_id}?wait=60", If_None_Match=old)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelling")
    assert time.monotonic() - began < 30


def test_what_has_ended_is_answered_at_once(app: Application, images: dict[str, bytes]) -> None:
    batch = app.finished(dict(list(images.items())[:2]))
    began = time.monotonic()
    etag = app.call("GET", f"/v1/batches/{batch['id']}").headers["ETag"]
    assert app.call("GET", f"/v1/batches/{batch['id']}?wait=60").status_code == 200
    assert app.call("GET", f"/v1/batches/{batch['id']}?wait=60", If_None_Match=etag).status_code == 304
    assert time.monotonic() - began < 30


def test_a_poll_waits_while_nothing_happens_and_then_answers(
    app: Application, images: dict[str, bytes]
) -> None:
    batch_id = submit(app, images)
    began = time.monotonic()
    answer = app.call("GET", f"/v1/batches/{batch_id}?wait=1.5")
    assert time.monotonic() - began >= 1.5
    assert (answer.status_code, answer.get_json()["status"]) == (200, "queued")


@pytest.mark.parametrize("wait", ["soon", "nan", "inf", "-1", "61", "1e9"])
def test_a_wait_that_is_no_number_is_refused(app: Application, images: dict[str, bytes], wait: str) -> None:
    response = app.call("GET", f"/v1/batches/{submit(app, images)}?wait={wait}")
    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_parameter")


def test_a_process_that_ends_answers_its_polls(
    own: Application, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "SLOW_CHECK_S", 60.0)
    answer, took = poll(own, f"/v1/batches/{submit(own, images)}?wait=50", own.service.waiting.stop)
    assert answer.get_json()["status"] == "queued"
    assert took < 25
