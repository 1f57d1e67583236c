"""The service behind nginx in four usual set-ups, of which each hides something: the host, https, a prefix."""

import gzip
import html
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from shared.client.client import Client
from shared.client.errors import ApiError
from tests.harness.nginx import SETUPS, in_front, needs_nginx
from tests.harness.processes import free_port, listens, until
from tests.harness.stack import Stack, running

pytestmark = [pytest.mark.timeout(120)]
READ_TIMEOUT_S, MOST_S = 4, 2


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.body)
        return found


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@dataclass
class Browser:
    """A browser behind one proxy. `wire` is where nginx listens, `address` what its address bar shows."""

    setup: str
    wire: str
    address: str
    key: str
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        parts = urllib.parse.urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    def ask(self, url: str, data: bytes | None = None, **headers: str) -> Answer:
        """Send a request to a URL or path as the browser resolves it, without following a redirect."""
        url = urllib.parse.urljoin(f"{self.address}/", url)
        assert url.startswith(self.address), f"{url} leaves the service"
        asked = urllib.request.Request(self.wire + url.removeprefix(self.address), data)
        for name, value in headers.items():
            asked.add_header(name.replace("_", "-"), value)
        if self.cookies:
            asked.add_header("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        try:
            with urllib.request.build_opener(_Stay).open(asked, timeout=30) as got:
                answer = Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, got.read())
        except urllib.error.HTTPError as error:
            answer = Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())
        if answer.headers.get("content-encoding") == "gzip":
            answer.body = gzip.decompress(answer.body)
        for name, morsel in SimpleCookie(answer.headers.get("set-cookie", "")).items():
            self.cookies[name] = morsel.value
        return answer

    def call(self, path: str, data: bytes | None = None, **headers: str) -> Answer:
        """A call of the API."""
        return self.ask(self.address + path, data, Authorization=f"Bearer {self.key}", **headers)

    def client(self) -> Client:
        return Client(self.wire, self.key, patience_s=5)


@dataclass
class Site:
    """The running service, seen through each proxy."""

    stack: Stack
    plain_port: int
    browsers: dict[str, Browser]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Site]:
    """Two web processes of one installation: one trusts nginx, the other is told its public URL."""
    needs_nginx()
    folder, told, public = tmp_path_factory.mktemp("proxies"), free_port(), free_port()
    ports = {name: public if name == "default" else free_port() for name in SETUPS}
    with running(folder, [artifact], "web", trusted_proxies="127.0.0.1", max_wait_s=float(MOST_S)) as stack:
        stack.start(
            "web-told", GONOGO_PORT=str(told), GONOGO_TRUSTED_PROXIES="",
            GONOGO_PUBLIC_URL=f"http://127.0.0.1:{public}",
        )  # fmt: skip
        until(lambda: listens(stack.settings.port) and listens(told), 30, "both web processes listen")
        told_url = f"http://127.0.0.1:{told}"
        services = {name: told_url if name == "default" else stack.url for name in SETUPS}
        with in_front(folder, services, ports=ports, read_timeout_s=READ_TIMEOUT_S) as urls:
            browsers = {
                name: Browser(
                    name, url, url.replace("http:", "https:") if name == "https" else url, stack.key
                )
                for name, url in urls.items()
            }
            yield Site(stack, told, browsers)


@pytest.fixture(params=SETUPS)
def browser(request: pytest.FixtureRequest, site: Site) -> Iterator[Browser]:
    made = site.browsers[request.param]
    yield made
    made.cookies.clear()


def images(count: int, size: int) -> list[tuple[str, bytes]]:
    return [(f"part-{number}.jpg", b"\xff\xd8\xff" + bytes(size)) for number in range(count)]


@pytest.mark.row(42)
def test_a_person_signs_in_and_every_link_of_every_page_leads_to_the_service(browser: Browser) -> None:
    with browser.client() as client:
        batch_id = client.submit(images(1, 100))["id"]
    asked = browser.ask(f"{browser.address}/batches/{batch_id}")
    assert asked.status == 303
    form = browser.ask(asked.headers["location"])
    (goes_to,) = re.findall(rb'name="next" value="([^"]*)"', form.body)
    (action,) = re.findall(rb'action="([^"]*)"', form.body)
    sent = urllib.parse.urlencode({"key": browser.key, "next": html.unescape(goes_to.decode())}).encode()
    foreign = browser.ask(action.decode(), sent, Origin="http://evil.example")
    assert (foreign.status, browser.cookies) == (403, {})
    done = browser.ask(action.decode(), sent, Origin=browser.origin)
    assert (done.status, bool(browser.cookies)) == (303, True)
    assert urllib.parse.urljoin(browser.address, done.headers["location"]).endswith(f"/batches/{batch_id}")

    seen, waiting = set[str](), [done.headers["location"], f"{browser.address}/", f"{browser.address}/docs"]
    while waiting:
        link = urllib.parse.urljoin(f"{browser.address}/", waiting.pop()).partition("#")[0]
        if link in seen:
            continue
        seen.add(link)
        answer = browser.ask(link)
        assert answer.status == 200, f"{link}: {answer.status}"
        if answer.headers["content-type"].startswith("text/html"):
            found = re.findall(r'(?:href|src|data-poll)="([^"]+)"', answer.body.decode())
            waiting += [urllib.parse.urljoin(link, html.unescape(each)) for each in found]
    assert {"gonogo.css", "live.js", "upload.js", "openapi.json"} <= {
        link.rpartition("/")[2] for link in seen
    }
    cancelled = browser.ask(f"{browser.address}/batches/{batch_id}/cancel", b"", Origin=browser.origin)
    assert cancelled.status == 303
    assert browser.ask(cancelled.headers["location"]).status == 200


@pytest.mark.row(42)
def test_the_links_of_answers_begin_with_the_address_that_the_client_uses(browser: Browser) -> None:
    body = b'--x\r\ncontent-disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n\xff\xd8\xff\r\n--x--\r\n'
    made = browser.call("/v1/batches", body, Content_Type="multipart/form-data; boundary=x")
    assert made.status == 202, made.body
    batch = made.json()
    links = batch["links"]
    assert isinstance(links, dict)
    assert made.headers["location"] == links["self"] == f"{browser.address}/v1/batches/{batch['id']}"
    assert all(link.startswith(f"{browser.address}/") for link in links.values())
    listed = browser.call("/v1/batches").json()["data"]
    assert isinstance(listed, list)
    assert listed[0]["links"] == links
    problem = browser.call("/v1/batches/bat_none").json()
    kind = urllib.parse.urljoin(browser.address, str(problem["type"]))
    assert browser.ask(kind.partition("#")[0]).status == 200
    assert urllib.parse.urljoin(browser.address, str(problem["instance"])) == (
        f"{browser.address}/v1/batches/bat_none"
    )
    servers = browser.call("/openapi.json").json()["servers"]
    assert isinstance(servers, list)
    server = urllib.parse.urljoin(f"{browser.address}/openapi.json", servers[0]["url"]).rstrip("/")
    assert server == browser.address
    assert f"{browser.address}/v1/batches" in browser.ask(f"{browser.address}/docs").body.decode()


@pytest.mark.row(42)
def test_a_poll_is_held_although_gzip_has_weakened_its_tag(browser: Browser) -> None:
    with browser.client() as client:
        path = f"/v1/batches/{client.submit(images(1, 100))['id']}"
    first = browser.call(path, Accept_Encoding="gzip")
    assert first.headers["etag"].startswith('W/"'), "nginx has compressed the answer"
    began = time.monotonic()
    same = browser.call(f"{path}?wait={10 * READ_TIMEOUT_S}", If_None_Match=first.headers["etag"])
    took = time.monotonic() - began
    assert (same.status, same.headers["etag"]) == (304, first.headers["etag"].removeprefix("W/"))
    assert MOST_S <= took < READ_TIMEOUT_S, "held, and answered before the proxy gives up"


@pytest.mark.row(42)
def test_an_upload_over_1_mb_arrives_or_is_said_to_be_refused_by_the_proxy(browser: Browser) -> None:
    with browser.client() as client:
        if browser.setup == "default":
            with pytest.raises(ApiError, match=r"proxy.*raise the limit") as refused:
                client.submit(images(3, 500_000))
            assert refused.value.status == 413
        else:
            assert client.submit(images(3, 500_000))["counts"]["total"] == 3


@pytest.mark.row(42)
def test_forwarded_headers_of_a_peer_that_is_not_trusted_change_nothing(site: Site) -> None:
    headers = {
        "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil",
        "Authorization": f"Bearer {site.stack.key}",
    }  # fmt: skip
    for port, trusts in ((site.plain_port, False), (site.stack.settings.port, True)):
        url = f"http://127.0.0.1:{port}/v1/batches/bat_none"
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10)
        assert (b"/evil" in answer.value.read()) == trusts
