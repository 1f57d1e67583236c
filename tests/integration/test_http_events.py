"""The event stream of a batch over HTTP."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.harness.application import Application
from tests.harness.forms import image_parts
from tests.harness.processes import until
from web.live import streams


class Told(NamedTuple):
    """A message of a stream."""

    id: str
    event: str
    data: Any


def read(blocks: Iterator[bytes]) -> Iterator[Told]:
    """The messages of a stream as a browser reads them: comments and `retry` are none."""
    last, text = "", ""
    for block in blocks:
        text += block.decode()
        while "\n\n" in text:
            message, text = text.split("\n\n", 1)
            fields = dict(line.split(": ", 1) for line in message.split("\n") if ": " in line)
            last = fields.get("id", last)
            if "data" in fields:
                yield Told(last, fields["event"], json.loads(fields["data"]))
    assert not text, "a message ends with an empty line"


def follow(app: Application, batch_id: str, last: str | None = None, **options: Any) -> Iterator[Told]:
    headers = {"Last_Event_ID": last} if last is not None else {}
    answer = app.call("GET", f"/v1/batches/{batch_id}/events", **headers, **options)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream"), answer.text
    return read(iter(answer.response))  # type: ignore[arg-type]


def kinds(told: list[Told]) -> list[str]:
    return [each.event.removeprefix("batch.") for each in told]


def submit(app: Application, images: dict[str, bytes], number: int = 2, **asked: Any) -> str:
    return str(app.submit(dict(list(images.items())[:number]), asked)["id"])


def test_a_stream_tells_each_change_once_with_the_batch_as_it_was_shown_then(
    app: Application, images: dict[str, bytes]
) -> None:
    batch_id, shown, told = submit(app, images), [], list[Told]()
    path = f"/v1/batches/{batch_id}"

    def read_all() -> None:
        told.extend(follow(app, batch_id))

    def step(method: str, place: str, kind: str) -> None:
        app.call(method, path + place)
        shown.append((kind, app.get(path)))

    step("GET", "", "created")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_all)
        until(lambda: app.service.waiting.wakes.waiting() == 1, 20, "the stream waits")
        step("POST", "/pause", "paused")
        step("POST", "/resume", "resumed")
        app.work()
        shown.append(("completed", app.get(path)))
        reading.result(60)
    without_progress = [each for each in told if each.event != "batch.progress"]
    assert kinds(without_progress) == ["created", "paused", "resumed", "started", "completed", "end"]
    for kind, batch in shown:
        assert batch in [each.data for each in told if each.event == f"batch.{kind}"], kind
    assert without_progress[-1].data == {}
    numbers = [int(each.id) for each in told[:-1]]
    assert numbers == sorted({*numbers})
    # Each of the ids is a place to go on from, and the last one says that there is no more.
    for place, each in enumerate(without_progress[:-2]):
        assert list(follow(app, batch_id, each.id)) == without_progress[place + 1 :]
    last = app.call("GET", f"{path}/events", Last_Event_ID=told[-1].id)
    assert (last.status_code, last.data) == (204, b"")


def test_a_stream_of_a_batch_that_is_retried_goes_on(app: Application, images: dict[str, bytes]) -> None:
    broken = b"\xff\xd8\xff no JPEG"
    batch_id = str(app.submit({"a.jpg": broken * 20, **dict(list(images.items())[:1])})["id"])
    app.work()
    first = list(follow(app, batch_id))
    assert kinds(first) == ["created", "started", "completed", "end"]
    app.call("POST", f"/v1/batches/{batch_id}/retry")
    app.work()
    assert kinds(list(follow(app, batch_id, first[-1].id))) == ["retried", "completed", "end"]
    whole = list(follow(app, batch_id))
    assert kinds(whole) == ["created", "started", "completed", "retried", "completed", "end"]
    assert [each.data["counts"]["failed"] for each in whole[2:5]] == [1, 0, 1]


def test_a_draft_tells_how_it_came_together(app: Application, images: dict[str, bytes]) -> None:
    data = next(iter(images.values()))
    made = app.post_form("/v1/batches?draft=true", *image_parts({"a.jpg": data})).get_json()
    path = f"/v1/batches/{made['id']}"
    app.post_form(f"{path}/items?part_number=1", *image_parts({"b.jpg": data}))
    app.call("POST", f"{path}/finalize")
    app.work()
    told = list(follow(app, made["id"]))
    assert kinds(told) == ["created", "queued", "started", "completed", "end"]
    assert told[0].data == made
    assert [each.data["counts"]["total"] for each in told[:-1]] == [1, 2, 2, 2]


def test_a_prediction_tells_its_end(app: Application, images: dict[str, bytes]) -> None:
    with ThreadPoolExecutor(1) as pool:
        data = next(iter(images.values()))
        answer = pool.submit(app.post_form, "/v1/predict", ("file", "a.jpg", data))
        until(lambda: app.service.waiting.wakes.waiting() >= 1, 20, "the prediction waits")
        app.work("interactive")
        batch_id = answer.result(60).get_json()["item"]["batch_id"]
    assert kinds(list(follow(app, batch_id))) == ["completed", "end"]


def test_an_ended_batch_without_events_tells_its_end(app: Application, images: dict[str, bytes]) -> None:
    batch_id = submit(app, images)
    app.work()
    with app.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM batch_events")
    app.service.waiting.wake(batch_id)
    assert kinds(list(follow(app, batch_id))) == ["end"]


@pytest.mark.parametrize("last", ["99999", "0"])
def test_an_id_that_the_batch_never_had_begins_the_stream_again(
    app: Application, images: dict[str, bytes], last: str
) -> None:
    batch_id = submit(app, images)
    app.work()
    assert kinds(list(follow(app, batch_id, last))) == ["created", "started", "completed", "end"]


@pytest.mark.parametrize("last", ["one", "-1", "1.5", "1" * 19, "1, 2", ""])
def test_an_id_that_is_no_number_is_refused(app: Application, images: dict[str, bytes], last: str) -> None:
    answer = app.call("GET", f"/v1/batches/{submit(app, images)}/events", Last_Event_ID=last)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")


def test_the_stream_is_for_its_tenant_for_readers_and_for_those_that_take_it(
    app: Application, images: dict[str, bytes]
) -> None:
    path = f"/v1/batches/{submit(app, images)}/events"
    app.work()
    assert app.call("GET", path, key=app.make_key("other", "read")).status_code == 404
    assert app.call("GET", path, key=app.make_key("default", "submit")).status_code == 403
    assert app.call("GET", path, key="").status_code == 401
    assert app.call("GET", path + "?after=1").status_code == 400
    for accept in ("text/event-stream", "*/*", "text/*;q=0.1, application/json", ""):
        assert app.call("GET", path, Accept=accept).status_code == 200, accept
    for accept in ("application/json", "text/event-stream;q=0", "*/*;q=0"):
        answer = app.call("GET", path, Accept=accept)
        assert (answer.status_code, answer.get_json()["code"]) == (406, "unsupported_format"), accept
    head = app.call("HEAD", path)
    assert (head.status_code, head.data, head.mimetype) == (200, b"", "text/event-stream")
    assert {*app.call("OPTIONS", path).headers["Allow"].split(", ")} == {"GET", "HEAD", "OPTIONS"}
    assert app.call("POST", path).status_code == 405


def test_a_stream_that_is_quiet_says_that_it_is_there_and_ends_with_its_key(
    app: Application, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.3)
    batch_id = submit(app, images)
    made = app.call("POST", "/v1/api-keys", json={"name": "reader", "scopes": ["read"]}).get_json()
    answer = app.call("GET", f"/v1/batches/{batch_id}/events", key=made["secret"])
    blocks: Iterator[bytes] = iter(answer.response)  # type: ignore[arg-type]
    seen = list[bytes]()
    while b":\n\n" not in seen:
        seen.append(next(blocks))
    assert seen[0] == b"retry: 1000\n\n"
    app.call("DELETE", f"/v1/api-keys/{made['id']}")
    rest = b"".join(blocks)
    assert b"event: end" not in rest
    app.work()


def test_the_drain_ends_a_stream_without_the_end_of_the_batch(
    app: Application, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id, told = submit(app, images), list[Told]()
    reading = threading.Thread(target=lambda: told.extend(follow(app, batch_id)))
    reading.start()
    until(lambda: app.service.waiting.wakes.waiting() == 1, 20, "the stream waits")
    monkeypatch.setattr(app.service.waiting.wakes, "stopping", True)
    app.service.waiting.wake(batch_id)
    reading.join(20)
    assert kinds(told) == ["created"]
    app.work()
