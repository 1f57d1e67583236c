"""Fetches that fail, come late, come twice or must not be made: each item ends once, and nothing stays behind."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from shared.store.tables import Fetch
from tests.harness.addresses import NO_PLAIN_URLS, OTHER_SPELLINGS, SPELLINGS, Net
from tests.harness.application import Application, application
from tests.harness.fetching import (
    MOST_BYTES,
    batch_of,
    due_items,
    errors_of,
    fetch_due,
    fetching_application,
    make_due,
    place_of,
    stored_packs,
    submit,
)
from tests.harness.image_server import ImageServer
from tests.harness.receivers import dripping, pouring, status
from tests.integration.test_http_inputs import uri
from worker.fetching.fetch import fetch


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("installation")
    with fetching_application(request.param, folder, artifact, broker_url) as made:
        yield made


@pytest.fixture
def server() -> Iterator[ImageServer]:
    made = ImageServer()
    yield made
    made.close()


@pytest.fixture
def small(images: dict[str, bytes]) -> list[bytes]:
    return [data for data in images.values() if len(data) < MOST_BYTES]


@pytest.mark.parametrize(
    ("reply", "code", "outcomes"),
    [
        (status(404), "fetch_failed", ["failed"]),
        (status(302, location="http://127.0.0.1:1/"), "fetch_failed", ["failed"]),
        (status(200, b"x" * 10, content_encoding="gzip"), "fetch_failed", ["failed"]),
        (status(200, b"x" * (MOST_BYTES + 1)), "too_large", ["failed"]),
        (pouring(b"HTTP/1.1 200 OK\r\n\r\n", b"z" * 4096, 100_000_000), "too_large", ["failed"]),
        (status(503, retry_after="7"), "fetch_failed", ["later"] * 4 + ["failed"]),
        (status(200, b""), "fetch_failed", ["later"] * 4 + ["failed"]),
        (
            lambda handler: handler.wfile.write(
                b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n" + b"x" * 500
            ),
            "fetch_failed",
            ["later"] * 4 + ["failed"],
        ),
        (lambda handler: None, "fetch_failed", ["later"] * 4 + ["failed"]),
    ],
)
def test_a_fetch_that_fails_fails_its_item_alone_and_only_what_may_mend_is_tried_again(
    app: Application, server: ImageServer, small: list[bytes], reply: Any, code: str, outcomes: list[str]
) -> None:
    bad = server.serve("/bad.jpg", reply)
    batch = submit(app, [{"url": bad}, {"url": server.image("/good.jpg", small[0])}])
    assert sorted(fetch_due(app, until_none=True)) == sorted([*outcomes, "stored"])
    app.work()
    ended = batch_of(app, batch["id"])
    assert (ended["status"], ended["outcome"]) == ("completed", "partial")
    assert errors_of(app, batch["id"]) == [code, None]
    assert stored_packs(app, batch["id"]) == 1, "nothing of a failed fetch stays"
    assert server.asked["/bad.jpg"] == len(outcomes)


@pytest.mark.pace
@pytest.mark.parametrize(
    "reply",
    [dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n" + b"x" * 99, 0.2), lambda _: time.sleep(4)],
)
def test_a_slow_host_is_cut_by_its_silence_and_in_all(
    app: Application, server: ImageServer, reply: Any
) -> None:
    batch = submit(app, [{"url": server.serve("/slow.jpg", reply)}])
    began = time.monotonic()
    assert fetch_due(app) == ["later"]
    assert 0.9 < time.monotonic() - began < 4.0
    assert app.call("POST", f"/v1/batches/{batch['id']}/cancel").status_code == 200


def test_a_transient_fault_costs_nothing_but_time(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    url = server.serve("/busy.jpg", status(503, retry_after="30"), status(200, small[0]))
    batch = submit(app, [{"url": url}])
    before = time.time()
    assert fetch_due(app) == ["later"]
    with app.database.read() as connection:
        due_at = connection.scalar(select(Fetch.due_at).where(Fetch.batch_id == batch["id"]))
    assert due_at is not None and 29 < due_at - before < 40, "Retry-After is honoured"
    make_due(app)
    assert fetch_due(app) == ["stored"]
    app.work()
    assert batch_of(app, batch["id"])["outcome"] == "all_succeeded"


def test_what_comes_after_a_cancel_or_a_pause_finds_the_batch_as_it_is(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    """The bytes arrive while the client steers the batch: the reply itself makes the call."""

    def steered(action: str, batch: dict[str, str]) -> Any:
        def reply(handler: Any) -> None:
            assert app.call("POST", f"/v1/batches/{batch['id']}/{action}").status_code == 200
            status(200, small[0])(handler)

        return reply

    named: dict[str, str] = {}
    batch = submit(
        app, [{"url": server.serve("/cancelled.jpg", steered("cancel", named))}, {"url": server.url("/b")}]
    )
    named["id"] = batch["id"]
    [first, _] = due_items(app)
    assert fetch(place_of(app), first) == "lost"
    assert batch_of(app, batch["id"])["counts"]["cancelled"] == 2 and stored_packs(app, batch["id"]) == 0

    batch = submit(app, [{"url": server.serve("/paused.jpg", steered("pause", named))}])
    named["id"] = batch["id"]
    assert fetch_due(app) == ["stored"]
    app.work()
    assert batch_of(app, batch["id"])["counts"]["queued"] == 1
    app.call("POST", f"/v1/batches/{batch['id']}/resume")
    app.work()
    assert batch_of(app, batch["id"])["status"] == "completed"


def test_two_holders_of_one_fetch_leave_one_item_with_one_pack(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    """A process stands still for longer than its claim; the next one takes over, and the first writes nothing."""
    place, taken = place_of(app), list[str]()

    def slow(handler: Any) -> None:
        make_due(app)
        taken.append(fetch(place, item))
        status(200, small[1])(handler)

    batch = submit(app, [{"url": server.serve("/a.jpg", slow, status(200, small[0]))}])
    [item] = due_items(app)
    assert (fetch(place, item), taken) == ("lost", ["stored"])
    assert stored_packs(app, batch["id"]) == 1
    app.work()
    [shown] = app.results(batch["id"])
    assert shown["status"] == "succeeded" and shown["attempts"] == 1


def test_a_process_that_dies_with_every_try_leaves_a_failed_item_and_no_bytes(
    app: Application, server: ImageServer
) -> None:
    batch = submit(app, [{"url": server.image("/a.jpg", b"x")}])
    [item] = due_items(app)
    with app.database.write() as connection:
        connection.execute(update(Fetch).where(Fetch.batch_id == batch["id"]).values(tries=5, pack=2**30))
    left = app.service.blobs.pack_path(batch["id"], 2**30)
    app.service.blobs.put(left, b"left behind")
    assert fetch(place_of(app), item) == "failed"
    assert not left.exists()
    assert "no try is left" in app.results(batch["id"])[0]["error"]["detail"]


def test_a_failed_fetch_ends_a_batch_that_aborts(app: Application, server: ImageServer) -> None:
    batch = submit(app, [{"url": server.url("/none")}, {"url": server.url("/b")}], on_error="abort")
    [first, _] = due_items(app)
    assert fetch(place_of(app), first) == "failed"
    ended = batch_of(app, batch["id"])
    assert (ended["status"], ended["counts"]["cancelled"]) == ("cancelled", 1)
    assert ended["warnings"][0]["code"] == "aborted_on_error" and fetch_due(app) == []


def test_fetched_bytes_count_for_the_quota_and_one_over_it_is_not_kept(
    app: Application, server: ImageServer, small: list[bytes]
) -> None:
    key = app.make_key("frugal", "submit", "read")
    app.call("PATCH", "/v1/quotas?tenant=frugal", json={"stored_bytes": len(small[0]) + 10})
    url = server.image("/a.jpg", small[0])
    answer = app.call("POST", "/v1/batches", json={"inputs": [{"url": url}] * 2}, key=key)
    assert answer.status_code == 202, answer.text
    assert fetch_due(app) == ["stored", "failed"]
    assert app.get("/v1/quotas", key=key)["used"]["stored_bytes"] == len(small[0])
    batch_id = answer.get_json()["id"]
    assert "stored_bytes" in errors_text(app, batch_id, key) and stored_packs(app, batch_id) == 1
    app.work()
    app.call("DELETE", f"/v1/batches/{batch_id}", key=key)
    assert app.get("/v1/quotas", key=key)["used"]["stored_bytes"] == 0


def errors_text(app: Application, batch_id: str, key: str) -> str:
    return str(app.call("GET", f"/v1/batches/{batch_id}/results", key=key).text)


REFUSED = [
    *(f"http://{spelling}/a.jpg" for spelling in OTHER_SPELLINGS),
    *(url for url in NO_PLAIN_URLS if url.lower().startswith("http")),
]


def test_urls_that_no_worker_may_fetch_are_refused_with_their_pointers(
    app: Application, images: dict[str, bytes]
) -> None:
    # 127.0.0.0/8 is open here, so the spellings of loopback are no refusals; the others are.
    urls = [
        f"http://{spelling}:9/" for spelling in SPELLINGS if "169.254" in spelling or "100.64" in spelling
    ]
    inputs: list[dict[str, Any]] = [{"data": uri(b"\xff\xd8\xff")}, *({"url": url} for url in urls)]
    answer = app.call("POST", "/v1/batches", json={"inputs": inputs})
    assert answer.status_code == 422, answer.text
    problem = answer.get_json()
    assert problem["code"] == "fetch_forbidden_address"
    assert [error["pointer"] for error in problem["errors"]] == [
        f"/inputs/{n}/url" for n in range(1, len(inputs))
    ]


@pytest.mark.parametrize(
    ("asked", "status_code", "pointer"),
    [
        ({"inputs": [{}]}, 400, "/inputs/0"),
        ({"inputs": [{"url": "http://h/", "object": "s3://bkt/k"}]}, 400, "/inputs/0"),
        ({"inputs": [{"url": "ftp://h/"}]}, 400, "/inputs/0/url"),
        ({"inputs": [{"object": "b/k"}]}, 400, "/inputs/0/object"),
        ({"inputs": [{"object": "s3://bucket/k"}]}, 422, "/inputs/0/object"),
        ({"inputs": [{"url": "http://h/"}], "options": {"frames": "split"}}, 422, "/options/frames"),
    ],
)
def test_an_input_that_cannot_be_used_is_named(
    app: Application, asked: Any, status_code: int, pointer: str
) -> None:
    answer = app.call("POST", "/v1/batches", json=asked)
    assert answer.status_code == status_code, answer.text
    assert answer.get_json()["errors"][0]["pointer"] == pointer


def test_every_odd_spelling_is_refused_at_the_door_or_at_the_connection(
    tmp_path: Path, artifact: Path, broker_url: str, server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no network opened, none of them is connected to: neither literals, nor names, nor rebound names."""
    with application(tmp_path, artifact, broker_url, fetch_allowed_networks="") as app:
        place = place_of(app)
        net = Net(monkeypatch)
        net.names["localhost"] = [["127.0.0.1"]]
        net.names["metadata.example"] = [["169.254.169.254"]]
        net.names["nat64.example"] = [["64:ff9b::7f00:1"]]
        net.names["mixed.example"] = [["93.184.215.14", "10.0.0.1"]]
        net.names["rebinding.example"] = [["93.184.215.14"], ["127.0.0.1"]]
        accepted = list[str]()
        hosts = [*SPELLINGS, "metadata.example", "nat64.example", "mixed.example", "rebinding.example"]
        for host in hosts:
            asked = {"inputs": [{"url": f"http://{host}:{server.port}/a.jpg"}]}
            answer = app.call("POST", "/v1/batches", json=asked)
            assert answer.status_code in (202, 422), (host, answer.text)
            if answer.status_code == 202:
                accepted.append(answer.get_json()["id"])
        for url in REFUSED:
            assert app.call("POST", "/v1/batches", json={"inputs": [{"url": url}]}).status_code in (
                400,
                422,
            ), url
        for item in due_items(app):
            fetch(place, item)
        net.connected.clear()
        make_due(app)
        for item in due_items(app):
            fetch(place, item)
        assert [errors_of(app, batch_id) for batch_id in accepted] == [["fetch_forbidden_address"]] * len(
            accepted
        )
        assert len(accepted) >= 4
        assert net.connected == [] and server.gets == []
        assert "127.0.0.1" not in str([app.results(batch_id) for batch_id in accepted])
