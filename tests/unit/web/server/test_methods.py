"""OPTIONS, HEAD and wrong methods on every route, and pages of other origins, over a real socket."""

import http.client
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn

from tests.harness.site import Site, made_site
from web.live.waits import Wakes
from web.server.bridge import Bridge
from web.server.connection import uvicorn_options
from web.server.cross_origin import ANSWER_HEADERS, REQUEST_HEADERS, CrossOrigin
from web.server.program import streams_body

OURS = "https://parts.plant.example"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")


@dataclass
class Served:
    """A site behind the real server, which lets pages of OURS call it."""

    site: Site
    port: int

    def ask(
        self, method: str, path: str, *, key: bool = True, body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {**(self.site.bearer if key else {}), **sent})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def paths(self) -> dict[str, set[str]]:
        """A path of each route and the methods that it has."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for rule in self.site.app.url_map.iter_rules():
            path = re.sub(r"<any\((\w+).*?\):\w+>", r"\1", rule.rule)
            path = re.sub(r"<(?:path:)?(\w+)>", lambda place: f"{place[1][:3]}_0", path)
            found[path] |= rule.methods or set()
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with made_site(tmp_path_factory.mktemp("methods")) as site:
        bridge = Bridge(site.app, Wakes(), streams_body(site.app))
        config = uvicorn.Config(CrossOrigin(bridge, frozenset({OURS})), port=0, **uvicorn_options())
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Served(site, server.servers[0].sockets[0].getsockname()[1])
        server.should_exit = server.force_exit = True
        thread.join(10)


def test_options_lists_the_methods_of_every_path_without_a_key(served: Served) -> None:
    paths = served.paths()
    assert len(paths) >= 40
    for path, methods in paths.items():
        answer, body = served.ask("OPTIONS", path, key=False)
        assert (answer.status, body) == (204, b""), path
        assert answer.headers["Allow"] == ", ".join(sorted(methods)), path
        assert answer.headers["Content-Type"] is None, path
    assert served.ask("OPTIONS", "/v1/nothing", key=False)[0].status == 404


def test_options_with_a_large_body_is_answered_by_its_headers(served: Served) -> None:
    answer, _ = served.ask("OPTIONS", "/v1/batches", key=False, body=b"x" * 2**20)
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")


def test_every_other_method_of_a_path_is_405_and_names_those_that_there_are(served: Served) -> None:
    for path, methods in served.paths().items():
        for method in {*METHODS} - methods:
            answer, body = served.ask(method, path)
            assert answer.status == 405, (method, path)
            assert answer.headers["Allow"] == ", ".join(sorted(methods)), (method, path)
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert method == "HEAD" or json.loads(body)["code"] == "method_not_allowed"


def test_head_is_get_without_its_body(served: Served) -> None:
    batch = served.site.submit(["a.jpg", "b.jpg"])["id"]
    item = served.site.client.get(f"/v1/batches/{batch}/items", headers=served.site.bearer).get_json()[
        "data"
    ][0]
    for path, methods in served.paths().items():
        # A drawing waits for a worker, and a stream of events for the end of its batch.
        if "GET" not in methods or path.endswith(("/thumbnail", "/image", "/heatmap", "/events")):
            continue
        there = path.replace("bat_0", batch).replace("ite_0", item["id"])
        whole, body = served.ask("GET", there)
        head, nothing = served.ask("HEAD", there)
        assert (head.status, nothing) == (whole.status, b""), path
        assert head.headers["Content-Type"] == whole.headers["Content-Type"], path
        if path != "/metrics" and not path.endswith(
            ("/results", "/export")
        ):  # counted meanwhile; a stream has no length
            assert head.headers["Content-Length"] == str(len(body)), path


def test_a_page_of_a_named_origin_may_call_every_path_and_read_its_answers(served: Served) -> None:
    for path, methods in served.paths().items():
        answer, _ = served.ask("OPTIONS", path, key=False, Origin=OURS, Access_Control_Request_Method="GET")
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
        assert answer.headers["Access-Control-Allow-Methods"] == ", ".join(sorted(methods))
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert answer.headers["Access-Control-Max-Age"] == "600"
    for path in ("/v1/batches", "/v1/batches/bat_0", "/v1/nothing"):
        for key in (True, False):
            answer, _ = served.ask("GET", path, key=key, Origin=OURS)
            assert answer.headers["Access-Control-Allow-Origin"] == OURS
            assert answer.headers["Access-Control-Allow-Credentials"] is None
            assert {"ETag", "Location", "Retry-After"} <= {
                each.strip() for each in answer.headers["Access-Control-Expose-Headers"].split(",")
            }
    refused, _ = served.ask(
        "POST", "/v1/api-keys", body=b"{" * 2**21, Content_Type="application/json", Origin=OURS
    )
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (413, OURS)


@pytest.mark.parametrize(
    "origin", ["https://other.example", "null", OURS.upper(), f"{OURS}:444", f"{OURS}.evil"]
)
def test_a_page_of_any_other_origin_may_read_nothing(served: Served, origin: str) -> None:
    for method in ("OPTIONS", "GET"):
        answer, _ = served.ask(method, "/v1/batches", Origin=origin, Access_Control_Request_Method="GET")
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert "Origin" in answer.headers.get_all("Vary", [])


def test_the_headers_that_a_page_may_send_and_read_are_those_of_the_document(served: Served) -> None:
    document = json.loads(served.ask("GET", "/openapi.json")[1])
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    sent = {
        parameter["name"]
        for operation in operations
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "header"
    }
    read = {
        name
        for each in operations
        for answer in each["responses"].values()
        for name in answer.get("headers", {})
    }
    assert sent - {"Accept"} <= {*REQUEST_HEADERS}
    assert read - {"WWW-Authenticate"} <= {*ANSWER_HEADERS}
