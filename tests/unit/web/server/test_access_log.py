"""The access log: a line of JSON for each request, with the ids of the audit trail and without any secret."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.harness.site import Site, made_site
from tests.unit.web.server.conftest import Site as Small
from web.server.access_log import AccessLog, Lines
from web.server.bridge import Bridge, Limits
from web.server.connection import uvicorn_options

Ask = Callable[[str], bytes]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Site]:
    with made_site(tmp_path) as made:
        yield made


@pytest.fixture
def ask(installed: Site, file: Path) -> Iterator[Ask]:
    """Send a request to the whole application behind the real server."""
    lines = Lines(str(file))
    bridge = Bridge(
        installed.app, installed.service.waiting.wakes, lambda *_: False, Limits(small_body_bytes=1000)
    )
    config = uvicorn.Config(AccessLog(bridge, lines), host="127.0.0.1", port=0, **uvicorn_options())
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    small = Small(server.servers[0].sockets[0].getsockname()[1], installed.service.waiting.wakes)
    yield small.ask
    for sock in small.sockets:
        sock.close()
    server.should_exit = server.force_exit = True
    thread.join(10)
    lines.stop()


def entries(file: Path, number: int) -> list[dict[str, Any]]:
    """The lines, once there are as many; a line is written after its answer."""
    ends_at = time.monotonic() + 10
    while not file.exists() or file.read_bytes().count(b"\n") < number:
        assert time.monotonic() < ends_at, file.read_text() if file.exists() else "no file"
        time.sleep(0.01)
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_line_names_request_route_key_and_tenant(installed: Site, ask: Ask, file: Path) -> None:
    answer = ask(
        f"GET /v1/batches?limit=5 HTTP/1.1\nHost: x\nAuthorization: Bearer {installed.key}\nX-Request-Id: mine\n"
        "Connection: close\n\n"
    )
    (line,) = entries(file, 1)
    key = installed.client.get("/v1/api-keys", headers=installed.bearer).get_json()["data"][0]
    body = answer.partition(b"\r\n\r\n")[2]
    assert line.pop("duration_ms") > 0
    assert line.pop("time").endswith("Z")
    assert line == {
        "method": "GET",
        "route": "/v1/batches",
        "path": "/v1/batches",
        "status": 200,
        "bytes": len(body),
        "key_id": key["id"],
        "tenant": "plant",
        "address": "127.0.0.1",
        "request_id": "mine",
    }
    assert file.stat().st_mode & 0o077 == 0


def test_lines_hold_no_secret_and_no_query(installed: Site, ask: Ask, file: Path) -> None:
    ask(
        f"GET /v1/batches?key={installed.key} HTTP/1.1\nHost: x\nCookie: gonogo=a-token\nConnection: close\n\n"
    )
    ask(
        f"GET /nowhere?secret=whsec_x HTTP/1.1\nHost: x\nAuthorization: Bearer {installed.key}\nConnection: close\n\n"
    )
    found = entries(file, 2)
    assert [line["status"] for line in found] == [401, 404]
    text = file.read_text()
    for secret in (installed.key, "a-token", "whsec_x", "?"):
        assert secret not in text


def test_an_audit_entry_a_line_and_an_answer_have_one_request_id(
    installed: Site, ask: Ask, file: Path
) -> None:
    body = json.dumps({"name": "line 3"})
    answer = ask(
        f"POST /v1/api-keys HTTP/1.1\nHost: x\nAuthorization: Bearer {installed.key}\nContent-Type: application/json\n"
        f"Content-Length: {len(body)}\nConnection: close\n\n{body}"
    )
    (line,) = entries(file, 1)
    (entry,) = installed.client.get("/v1/audit?action=key.create", headers=installed.bearer).get_json()[
        "data"
    ]
    assert line["request_id"] == entry["request_id"]
    assert f"x-request-id: {line['request_id']}".encode() in answer.lower()
    assert (line["key_id"], line["address"]) == (entry["key_id"], entry["address"])


def test_a_refusal_of_the_server_itself_has_a_line_with_the_id_of_its_answer(ask: Ask, file: Path) -> None:
    ask("GET /livez HTTP/1.1\nConnection: close\n\n")
    answer = ask(
        f"POST /v1/session HTTP/1.1\nHost: x\nContent-Length: 2000\nConnection: close\n\n{'x' * 2000}"
    )
    found = entries(file, 2)
    assert [line["status"] for line in found] == [400, 413]
    assert found[1]["request_id"].encode() in answer


def test_a_file_that_is_rotated_away_is_made_again(ask: Ask, file: Path) -> None:
    ask("GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n")
    entries(file, 1)
    file.rename(file.with_suffix(".1"))
    ask("GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert len(entries(file, 1)) == 1


def test_a_target_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Lines(str(tmp_path / "nowhere" / "access.log"))


def test_a_target_that_cannot_be_written_later_costs_lines_and_no_request(ask: Ask, file: Path) -> None:
    file.unlink()
    file.mkdir()
    assert b"200 OK" in ask("GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert b"200 OK" in ask("GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n")
