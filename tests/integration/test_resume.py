"""A client behind a link that breaks again and again: it goes on by itself, and each image becomes one item."""

import io
import json
import threading
from collections.abc import Iterator
from typing import Any, cast, get_type_hints

import pytest
from PIL import Image
from werkzeug.serving import WSGIRequestHandler, make_server

from shared.client import ApiError, Client, Options, OtherImages
from shared.client.transport import Answer, Transport
from tests.harness.application import Application
from tests.harness.cutting import CuttingProxy
from tests.harness.forms import options_part


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


Files = list[tuple[str, bytes]]


def half_sent(here: Client, files: Files, part_bytes: int, key: str | None = None) -> str:
    """A draft whose sender ended after half of the bytes."""

    def stop(sent: int, total: int) -> None:
        if sent > total // 2:
            raise KeyboardInterrupt

    opened: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        here.submit(
            files,
            {"priority": "low"},
            idempotency_key=key,
            part_bytes=part_bytes,
            progress=stop,
            opened=opened.append,
        )
    return opened[0]


# Each option with another value than half_sent() gives it.
OTHER: dict[str, Any] = {
    **dict.fromkeys(("name", "lot", "order", "line", "station", "operator", "model"), "another"),
    "priority": "normal", "operating_point": {"threshold": 0.15, "review_band": [0.1, 0.2]}, "part_rule": "all_defect",
    "expected_views": ["top"], "metadata": {"shift": "2"}, "webhook": {"url": "https://receiver.example/"},
    "deadline": 3600, "retention": 3600, "frames": "split", "on_error": "abort",
    "defect_rate_alert": {"share": 0.5, "after": 10},
}  # fmt: skip


def test_a_resume_with_the_options_of_its_draft_goes_on(
    app: Application, port: int, images: dict[str, bytes]
) -> None:
    files = list(images.items())[:4]
    secret = "whsec_" + "c2VjcmV0" * 4
    asked = {
        **OTHER, "model": app.model_id, "priority": "low", "frames": "refuse",
        "webhook": {"url": "https://receiver.example/", "secret": secret},
    }  # fmt: skip
    made = app.post_form("/v1/batches?draft=true", options_part(asked))
    assert made.status_code == 202, made.text
    shown = made.get_json()["draft"]["options"]
    assert secret not in made.text
    assert {name: shown[name] for name in asked if name != "webhook"} == {
        name: value for name, value in asked.items() if name != "webhook"
    }
    with client(app, port) as here:
        ended = here.submit(files, cast(Options, asked), resume=made.get_json()["id"])
    assert ended["counts"]["total"] == len(files)


def held(here: Client, batch_id: str) -> list[tuple[str, str | None]]:
    return sorted((item["filename"], item["sha256"]) for item in here.items(batch_id))


def test_a_resume_ends_with_the_files_of_its_command_or_changes_nothing(
    app: Application, port: int, images: dict[str, bytes]
) -> None:
    files = list(images.items())[:24]
    new, other = ("000-new.jpg", files[0][1]), list(images.items())[24:36]
    eighth = sum(len(data) for _, data in files) // 8
    swapped = [(files[1][0], files[0][1]), *files[1:]]
    changed = [(files[0][0], other[0][1]), *files[1:]]
    with client(app, port) as here:
        whole = held(here, here.submit(files, {"priority": "low"})["id"])
        for part_bytes in (None, eighth, 3 * eighth, eighth // 3):  # without a size, another, and the same
            batch_id = half_sent(here, files, eighth)
            assert here.batch(batch_id)["status"] == "draft"
            assert 0 < len(held(here, batch_id)) < len(files)
            ended = here.submit(files, resume=batch_id, part_bytes=part_bytes)
            assert (ended["id"], ended["counts"]["total"]) == (batch_id, len(files))
            assert held(here, batch_id) == whole
            again = here.submit(files, resume=batch_id)  # whose answer to finalize was lost
            assert (again["id"], again["counts"]["total"]) == (batch_id, len(files))
        batch_id = half_sent(here, files, eighth)
        for wrong in (other, files[1:], changed, swapped, files[:1]):
            with pytest.raises(OtherImages, match=f"{batch_id} holds .*resume it with the files"):
                here.submit(wrong, resume=batch_id, part_bytes=eighth)
        assert {*OTHER} == {*get_type_hints(Options)}
        for option, value in OTHER.items():
            with pytest.raises(OtherImages, match=f"was made with {option} .*, not "):
                here.submit(files, cast(Options, {option: value}), resume=batch_id)
        with pytest.raises(OtherImages, match=r"name None, not .*; priority 'low', not 'normal'"):
            here.submit(files, {"name": "another", "priority": "normal"}, resume=batch_id)
        assert here.batch(batch_id)["status"] == "draft"
        left = held(here, batch_id)  # perhaps with the part that was under way as the sender ended
        assert len(set(left)) == len(left) < len(set(left) | set(whole)) == len(whole)
        ended = here.submit([new, files[3], *files], resume=batch_id, part_bytes=eighth)
        names = [name for name, _ in held(here, batch_id)]
        assert names == sorted(name for name, _ in [new, files[3], *files])
        assert ended["counts"]["total"] == len(names)


def test_a_resume_knows_images_whose_names_or_contents_the_service_keeps_another_way(
    app: Application, port: int, images: dict[str, bytes]
) -> None:
    one, two, three, four, five, *_ = images.values()
    frames = io.BytesIO()
    pages = [Image.new("L", (64, 64), shade) for shade in (30, 90, 150)]
    pages[0].save(frames, "TIFF", save_all=True, append_images=pages[1:])
    files = [
        ('say "1".jpg', one),
        ("100%22.jpg", two),
        ("=?utf-8?q?three?=", three),
        ("back\\slash.jpg", four),
        ("empty.jpg", b""),
        ("frames.tif", frames.getvalue()),
        ("frames.tif", frames.getvalue()),
        ("last.jpg", five),
    ]
    with client(app, port) as here:
        batch_id = here.draft({"priority": "low", "frames": "split"})["id"]
        here.append(batch_id, 1, files[:7])
        assert len(held(here, batch_id)) == 5 + 2 * 3
        with pytest.raises(OtherImages, match=r"'frames\.tif'"):
            here.submit([*files[:6], files[7]], resume=batch_id)
        filled = [("empty.jpg", one) if name == "empty.jpg" else (name, data) for name, data in files]
        with pytest.raises(OtherImages, match=r"'empty\.jpg'"):
            here.submit(filled, resume=batch_id)
        assert here.submit(files, resume=batch_id)["counts"]["total"] == 6 + 2 * 3


def test_a_submission_in_parts_with_the_key_of_one_that_ended_is_the_same_batch(
    app: Application, port: int, images: dict[str, bytes]
) -> None:
    files = list(images.items())[:6]
    with client(app, port) as here:
        half_sent_id = half_sent(here, files, 10_000, key="once")
        first, second = (
            here.submit(files, {"priority": "low"}, idempotency_key="once", part_bytes=size)
            for size in (20_000, 40_000)
        )
        assert half_sent_id == first["id"] == second["id"]
        assert first["counts"]["total"] == len(files)
        with pytest.raises(ApiError) as other:
            here.submit(files[1:], {"priority": "low"}, idempotency_key="once", part_bytes=20_000)
        assert other.value.code == "wrong_state"
        assert len(held(here, first["id"])) == len(files)


def test_a_part_that_arrives_while_the_draft_is_asked_for_is_not_sent_again(
    app: Application, port: int, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, call = list(images.items())[:6], Transport.call

    def counted_before_it(wire: Transport, method: str, path: str, **more: Any) -> Answer:
        answer = call(wire, method, path, **more)
        if not path.endswith("?draft=true"):
            return answer
        batch = answer.json()
        batch["counts"]["total"] = 0
        return Answer(answer.status, answer.headers, json.dumps(batch).encode())

    with client(app, port) as here:
        batch_id = here.draft({"priority": "low"}, idempotency_key="in between")["id"]
        here.append(batch_id, 1, files[:4])
        monkeypatch.setattr(Transport, "call", counted_before_it)
        batch = here.submit(files, {"priority": "low"}, idempotency_key="in between", part_bytes=10_000)
        assert (batch["id"], batch["counts"]["total"]) == (batch_id, len(files))
