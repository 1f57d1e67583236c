"""A client behind a link that breaks again and again: it goes on by itself, and each image becomes one item."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from shared.client import ApiError, Client
from tests.harness.application import Application
from tests.harness.cutting import CuttingProxy


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None: ...


@pytest.fixture
def port(app: Application) -> Iterator[int]:
    """The application behind a real socket."""
    server = make_server("127.0.0.1", 0, app.flask, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join(30)
    server.server_close()


def client(app: Application, port: int) -> Client:
    return Client(f"http://127.0.0.1:{port}", app.key, patience_s=20)


def test_an_upload_cut_five_times_ends_with_every_item_once(
    app: Application, port: int, images: dict[str, bytes]
) -> None:
    lines = [f"{name},c-{number},SN-{number // 3}" for number, name in enumerate(images)]
    manifest = "\n".join(["filename,custom_id,part_id", *lines]).encode()
    size, told, moved = sum(map(len, images.values())), list[tuple[int, int, str]](), list[int]()
    cuts = [300, *(size // 8 + 1000 * number for number in range(4))]
    with CuttingProxy(port, cuts) as proxy, client(app, proxy.port) as here:
        batch = here.submit(
            list(images.items()),
            {"priority": "low"},
            manifest=manifest,
            part_bytes=size // 6,
            progress=lambda sent, _: moved.append(sent),
            broken=lambda *how_far: told.append(how_far),
        )
        assert proxy.cut == 5
    assert (batch["status"], batch["counts"]["total"]) == ("queued", len(images))
    assert batch["parts"]["total"] == len(images) // 3
    with client(app, port) as there:
        items = list(there.items(batch["id"]))
    assert [item["filename"] for item in items] == list(images)
    assert len({item["custom_id"] for item in items}) == len(images)
    assert 4 <= len(told) <= 5, "the first link may break before the draft is made, which is no part"
    assert all(sent < total for sent, total, _ in told)
    assert [sent for sent, _, _ in told] == sorted(sent for sent, _, _ in told)
    app.work("low")
    assert app.get(f"/v1/batches/{batch['id']}")["counts"]["succeeded"] == len(images)


def test_a_submission_whose_client_ended_is_taken_up(
    app: Application, port: int, images: dict[str, bytes]
) -> None:
    files = dict(list(images.items())[:40])
    size = sum(map(len, files.values()))
    ended: list[str] = []

    def stop(sent: int, total: int) -> None:
        if sent > total // 2:
            raise KeyboardInterrupt

    with client(app, port) as first:
        with pytest.raises(KeyboardInterrupt):
            first.submit(list(files.items()), {"priority": "low"}, part_bytes=size // 8, progress=stop)
        (left,) = first.batches(status="draft", limit=1)
        ended.append(left["id"])
    assert 0 < left["counts"]["total"] < len(files)
    with client(app, port) as second:
        batch = second.submit(list(files.items()), resume=ended[0], part_bytes=size // 8)
        assert (batch["id"], batch["counts"]["total"]) == (ended[0], len(files))
        with pytest.raises(ApiError) as other:
            second.submit([("other.jpg", b"x")], resume=ended[0], part_bytes=size // 8)
    assert other.value.code == "wrong_state"
    assert {item["filename"] for item in app.results(batch["id"])} == {*files}
    app.work("low")
