"""The audit of dependencies fails for a finding, and says plainly when no advisory service answers."""

import importlib.machinery
import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow  # each question starts pip-audit
ROOT = Path(__file__).parents[2]
KNOWN = {"jinja2": ("2.10", "PYSEC-2019-217"), "a-bad-one": ("1.0", "PYSEC-2026-1")}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("audit", str(ROOT / ".ci" / "audit"))
    spec = importlib.util.spec_from_loader("audit", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Advisories(BaseHTTPRequestHandler):
    """An OSV service on loopback that knows two vulnerable versions."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        version, identifier = KNOWN.get(asked["package"]["name"], ("", ""))
        vulns = [] if asked["version"] != version else [
            {"id": identifier, "summary": "bad", "affected": [], "aliases": [], "modified": "2026-01-01T00:00:00Z"}
        ]  # fmt: skip
        body = json.dumps({"vulns": vulns} if vulns else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[list[str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield ["-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query"]
    server.shutdown()
    server.server_close()


def lock(folder: Path, *pins: str) -> Path:
    path = folder / "serve.txt"
    path.write_text("".join(f"{pin} \\\n    --hash=sha256:{'a' * 64}\n" for pin in pins))
    return path


def test_a_finding_fails_the_build_and_is_named(
    audit: ModuleType, service: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main((service,), [lock(tmp_path, "flask==3.1.3", "a-bad-one==1.0")]) == 1
    assert "serve.txt: a-bad-one 1.0: PYSEC-2026-1" in capsys.readouterr().out


def test_pins_without_an_advisory_pass(
    audit: ModuleType, service: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main((service,), [lock(tmp_path, "flask==3.1.3")]) == 0
    assert "no advisory for serve.txt" in capsys.readouterr().out


def test_a_service_that_is_away_or_knows_nothing_is_said_and_fails_nothing(
    audit: ModuleType, service: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    away = ["-s", "osv", "--osv-url", "http://127.0.0.1:1/v1/query"]
    monkeypatch.setattr(audit, "KNOWN_BAD", "flask==3.1.3")  # of which this service knows nothing bad
    assert audit.main((away, service), [lock(tmp_path, "a-bad-one==1.0")]) == 0
    assert "UNAUDITED" in capsys.readouterr().out
