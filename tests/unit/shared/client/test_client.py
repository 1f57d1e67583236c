"""The client against a small real server on loopback that answers by script."""

import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from werkzeug.formparser import parse_form_data

from shared.client import ApiError, Client, ResultsCut, Unreachable, UnusableInput

JPEG, PNG = b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"


@dataclass
class Script:
    """Answers to give, in turn (the last one for ever), and the requests that came."""

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    cut_after: int | None = None
    url: str = ""
    connections: set[Any] = field(default_factory=set)

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.answers.append(
            (status, {name.replace("_", "-"): value for name, value in headers.items()}, data)
        )


@pytest.fixture
def script() -> Iterator[Script]:
    played = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            status, headers, data = played.answers[min(len(played.requests), len(played.answers) - 1)]
            if status == 413:  # answers before it reads, as a proxy with a size limit does
                length = 0
                headers = {**headers, "Connection": "close"}
            body = self.rfile.read(length)
            played.connections.add(self.client_address)
            played.requests.append((self.command, self.path, dict(self.headers), body))
            if status == 0:  # dies without an answer
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data if played.cut_after is None else data[: played.cut_after])
            self.close_connection = self.close_connection or played.cut_after is not None

        do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that breaks off is part of the play."""

    server = Server(("127.0.0.1", 0), Handler)
    played.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield played
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(script: Script) -> Iterator[Client]:
    with Client(script.url, "secret", timeout_s=5, patience_s=3) as made:
        yield made


def parts_of(
    request: tuple[str, str, dict[str, str], bytes],
) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    _, _, headers, body = request
    environ = {
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": headers["Content-Type"],
        "CONTENT_LENGTH": str(len(body)),
        "REQUEST_METHOD": "POST",
    }
    _, form, files = parse_form_data(environ)
    named = [(str(file.filename), file.read()) for name in files for file in files.getlist(name)]
    for _, file in files.items(multi=True):
        file.close()
    return dict(form), named


def test_a_submission_carries_every_file_its_options_and_the_key(
    script: Script, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.jpg").write_bytes(JPEG + b"A" * 10)
    (tmp_path / "deep" / "b.PNG").write_bytes(PNG + b"B" * 400_000)
    (tmp_path / "notes.txt").write_bytes(b"no image")
    script.answer(202, {"id": "bat_1"})
    client.submit([tmp_path, ('odd "name".jpg', b"C")], {"metadata": {"line": "A3"}})
    form, files = parts_of(script.requests[0])
    assert json.loads(form["options"]) == {"metadata": {"line": "A3"}}
    assert files == [
        ("a.jpg", JPEG + b"A" * 10),
        ("deep/b.PNG", PNG + b"B" * 400_000),
        ('odd "name".jpg', b"C"),
    ]
    assert script.requests[0][2]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("size", [0, 1, 131_071, 131_072, 262_143, 262_144, 20_000_000])
def test_a_file_of_any_size_arrives_whole(script: Script, client: Client, tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "a.jpg").write_bytes(data[:size])
    script.answer(202, {"id": "bat_1"})
    client.submit([tmp_path / "a.jpg", ("in memory.jpg", data[:size]), ("z.jpg", b"z")])
    assert [file for _, file in parts_of(script.requests[0])[1]] == [data[:size], data[:size], b"z"]


def test_every_try_of_one_submission_has_the_same_idempotency_key(script: Script, client: Client) -> None:
    script.answer(0)
    script.answer(503, {"code": "busy"}, Retry_After="0")
    script.answer(409, {"code": "in_progress"}, Retry_After="0")
    script.answer(202, {"id": "bat_1"})
    client.submit([("a.jpg", b"A")])
    client.submit([("a.jpg", b"A")])
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in script.requests]
    assert len(keys) == 5
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]


def test_an_answer_that_comes_before_the_body_ends_is_the_answer(script: Script, client: Client) -> None:
    script.answer(413, {"code": "too_large", "detail": "over the limit"})
    with pytest.raises(ApiError) as caught:
        client.submit([("a.jpg", b"A" * 50_000_000)])
    assert (caught.value.status, caught.value.code) == (413, "too_large")


def test_after_an_early_answer_the_next_call_has_a_connection_of_its_own(
    script: Script, client: Client
) -> None:
    script.answer(413, {"code": "too_large"})
    script.answer(200, {"id": "bat_1", "status": "completed"})
    with pytest.raises(ApiError):
        client.submit([("a.jpg", b"A" * 50_000_000)])
    assert client.batch("bat_1")["status"] == "completed"


def test_calls_share_one_connection(script: Script, client: Client) -> None:
    script.answer(202, {"id": "bat_1"})
    script.answer(200, {"id": "bat_1", "status": "queued"}, ETag='"1"')
    script.answer(304, b"")
    script.answer(200, b'{"a":1}\n')
    client.submit([("a.jpg", b"A" * 500_000)])
    client.batch("bat_1")
    client.batch("bat_1")
    assert list(client.results("bat_1")) == [b'{"a":1}']
    list(client.results("bat_1"))
    assert len(script.requests) == 5
    assert len(script.connections) == 1


def test_a_problem_becomes_a_typed_error(script: Script, client: Client) -> None:
    script.answer(422, {"code": "invalid", "detail": "bad options", "errors": [{"pointer": "/priority"}]})
    with pytest.raises(ApiError, match="bad options") as caught:
        client.batch("bat_1")
    assert caught.value.errors == [{"pointer": "/priority"}]
    assert caught.value.retry_after_s is None


def test_an_error_page_that_is_no_json_is_an_error_too(script: Script, client: Client) -> None:
    script.answer(500, b"<html>no json</html>")
    with pytest.raises(ApiError) as caught:
        client.batch("bat_1")
    assert (caught.value.status, caught.value.code) == (500, "http_500")


def test_retry_after_beyond_our_patience_is_handed_to_the_caller(script: Script, client: Client) -> None:
    script.answer(429, {"code": "quota"}, Retry_After="60")
    with pytest.raises(ApiError) as caught:
        client.batch("bat_1")
    assert caught.value.retry_after_s == 60
    assert len(script.requests) == 1


def test_what_must_not_happen_twice_is_not_tried_twice(script: Script, client: Client) -> None:
    script.answer(0)
    with pytest.raises(Unreachable):
        client.create_key("line", ["submit"])
    assert len(script.requests) == 1


def test_nobody_listening_is_said_plainly() -> None:
    with Client("http://127.0.0.1:9", patience_s=0) as client, pytest.raises(Unreachable, match="refused"):
        client.batch("bat_1")
    with pytest.raises(Unreachable, match="not the address"):
        Client("ftp://example")


def test_an_unchanged_batch_is_not_sent_again(script: Script, client: Client) -> None:
    script.answer(200, {"id": "bat_1", "status": "queued"}, ETag='"1"')
    script.answer(304, b"")
    script.answer(200, {"id": "bat_1", "status": "completed"}, ETag='"2"')
    states = [batch["status"] for batch in client.watch("bat_1")]
    assert states == ["queued", "queued", "completed"]
    assert script.requests[1][2]["If-None-Match"] == '"1"'
    assert "wait=20" in script.requests[1][1]


def test_waiting_ends(script: Script, client: Client) -> None:
    script.answer(200, {"id": "bat_1", "status": "queued"})
    with pytest.raises(TimeoutError, match="still queued"):
        client.wait("bat_1", timeout_s=0.2)


def test_pages_are_followed_to_the_end(script: Script, client: Client) -> None:
    script.answer(200, {"data": [{"id": "itm_1"}], "has_more": True, "next_cursor": "c/1"})
    script.answer(200, {"data": [{"id": "itm_2"}], "has_more": False, "next_cursor": None})
    assert [item["id"] for item in client.items("bat_1", sort="-score")] == ["itm_1", "itm_2"]
    assert script.requests[1][1].endswith("limit=1000&sort=-score&cursor=c%2F1")


def test_results_come_line_by_line_and_a_cut_file_is_an_error(script: Script, client: Client) -> None:
    script.answer(200, b'{"a":1}\n{"a":2}\n')
    assert list(client.results("bat_1")) == [b'{"a":1}', b'{"a":2}']
    time.sleep(0.1)  # until the server is done with the first answer, which must not be cut
    script.cut_after = 10
    with pytest.raises(ResultsCut, match="broke off after 10 bytes"):
        list(client.results("bat_1"))
    assert issubclass(ResultsCut, Unreachable)


def test_a_stream_begins_on_a_new_connection_where_the_kept_one_has_gone(
    script: Script, client: Client
) -> None:
    script.answer(200, {"id": "bat_1", "status": "completed"})
    script.answer(0)
    script.answer(503, {"code": "busy"}, Retry_After="0")
    script.answer(200, b'{"a":1}\n')
    client.batch("bat_1")
    assert list(client.results("bat_1")) == [b'{"a":1}']


def test_results_of_a_running_batch_say_so(script: Script, client: Client) -> None:
    script.answer(200, b"", X_Incomplete="true")
    script.answer(200, b"")
    for expected in (True, False):
        with client.results_file("bat_1") as file:
            assert file.incomplete is expected


def test_a_file_that_changes_while_it_is_sent_is_refused(
    client: Client, script: Script, tmp_path: Path
) -> None:
    script.answer(202, {"id": "bat_1"})
    grows, big = tmp_path / "grows.jpg", tmp_path / "big.jpg"
    big.write_bytes(b"B" * 500_000)
    grows.write_bytes(b"A" * 100)

    def grow(_sent: int, _total: int) -> None:
        grows.write_bytes(b"A" * 200)

    with pytest.raises(UnusableInput, match="changed while"):
        client.submit([big, grows], progress=grow)


def test_unusable_input_is_named_before_anything_is_sent(
    client: Client, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    cases: list[tuple[list[Any], str]] = [
        ([tmp_path / "gone.jpg"], "No such file"),
        ([tmp_path / "empty"], "no images"),
        ([tmp_path / "a.zip", ("b.jpg", b"B")], "by itself"),
        ([], "nothing to submit"),
    ]
    for sources, said in cases:
        with pytest.raises(UnusableInput, match=said):
            client.submit(sources)
    assert script.requests == []


def test_a_connection_the_service_closed_while_idle_is_opened_again(script: Script, client: Client) -> None:
    script.answer(200, {"data": [], "has_more": False}, Connection="close")
    script.answer(201, {"id": "key_1"})
    list(client.keys())
    assert client.create_key("line", ["submit"])["id"] == "key_1"
