"""The real thing for tests: Valkey, database, web, workers and sweeper as plain processes on loopback."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shared.access import keys
from shared.blobs.store import BlobStore
from shared.client.client import Client
from shared.registry import activations, versions
from shared.registry.artifact import read_artifact
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.installation import named
from tests.harness.broker import valkey_command, wait_for_valkey
from tests.harness.databases import prepare
from tests.harness.forms import multipart
from tests.harness.processes import ROOT, free_port, inference_children, until

FAST: dict[str, Any] = {
    "lease_s": 3.0,
    "heartbeat_s": 1.0,
    "sweep_s": 1.0,
    "clock_settle_s": 0.0,
    "republish_s": 2.0,
    "upload_lease_s": 3.0,
    "cache": "off",  # tests send the same images again, and mean each to be judged
}
PYTHON = [sys.executable, "-m"]
COMMANDS = {
    "web": [*PYTHON, "web.server"],
    "bulk": [*PYTHON, "worker", "bulk"],
    "interactive": [*PYTHON, "worker", "interactive"],
    "webhooks": [*PYTHON, "worker", "webhooks"],
    "sweep": [*PYTHON, "worker", "sweep"],
}


@dataclass
class Stack:
    """An installation in a folder. Each process can be started, stopped, signalled and killed by name."""

    folder: Path
    settings: Settings
    extra_env: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    key: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def database(self) -> Database:
        return Database(self.settings.database)

    def prepare(self, artifacts: list[Path]) -> None:
        """Migrate the database, register models (the first is active) and make an admin key."""
        database = self.database
        prepare(database)
        self.settings = named(self.settings, database)
        for path in artifacts:
            identifier = versions.register(database, BlobStore(self.settings.blobs), read_artifact(path))
            with database.write() as connection:
                if activations.active_id(connection) is None:
                    activations.activate(connection, identifier)
        with database.write() as connection:
            _, self.key = keys.create_key(
                connection, tenant="default", name="test", scopes=["admin", "submit", "read"]
            )
        database.dispose()

    def start_valkey(self, port: int = 0) -> None:
        """Start the broker, for the first time or again, on its socket or on a port."""
        folder = self.folder / "valkey"
        folder.mkdir(exist_ok=True)
        socket = None if port else self.broker_socket
        if socket is not None:
            # A killed server leaves its socket behind, and a wait for that file would end too early.
            socket.unlink(missing_ok=True)
        self.spawn("valkey", valkey_command(folder, socket=socket, port=port))
        wait_for_valkey(socket=socket, port=port)

    @property
    def broker_socket(self) -> Path:
        return Path(self.settings.broker_url.removeprefix("unix://").split("?")[0])

    def start(self, *names: str, **extra_env: str) -> None:
        """Start some of COMMANDS."""
        for name in names:
            self.spawn(name, COMMANDS[name.split("-")[0]], extra_env)

    def spawn(self, name: str, command: list[str], extra_env: dict[str, str] | None = None) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GONOGO_")}
        environment = {**clean, **self.settings.to_env(), **self.extra_env, **(extra_env or {})}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL, timeout_s: float = 30.0) -> None:
        """Signal a process and wait for its end."""
        process = self.processes.pop(name)
        process.send_signal(sig)
        process.wait(timeout_s)

    def kill_group(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Signal a process and wait for its end; SIGKILL goes to all its children too."""
        process = self.processes.pop(name)
        if how == signal.SIGKILL:
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        process.wait(60)

    def children(self, name: str) -> set[int]:
        """Process ids of the inference processes of a worker."""
        return inference_children(self.processes[name].pid)

    def stop(self) -> None:
        """Kill every process and its children: a clean end takes two seconds, and has tests of its own."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait(10)
        self.processes.clear()

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait for /readyz."""

        def ready() -> bool:
            try:
                return bool(self.get("/readyz")[0] == 200)
            except OSError:
                return False

        until(ready, timeout_s, f"the service is ready; logs in {self.folder}")

    def client(self, **options: Any) -> Client:
        return Client(self.url, self.key, **options)

    def request(
        self, method: str, path: str, body: bytes | None = None, /, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a plain HTTP request and return status, headers (lower case), body."""
        asked = urllib.request.Request(self.url + path, data=body, method=method)
        asked.add_header("Authorization", f"Bearer {self.key}")
        for name, value in headers.items():
            asked.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(asked, timeout=90) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """GET a JSON document."""
        status, _, body = self.request("GET", path, **headers)
        return status, json.loads(body) if body else None

    def submit(
        self,
        files: dict[str, bytes],
        options: dict[str, Any] | None = None,
        manifest: bytes | None = None,
        **headers: str,
    ) -> Any:
        """Submit images and return the batch; fails unless it was accepted."""
        status, _, body = self.post_batch(files, options, manifest, **headers)
        assert status == 202, body
        return json.loads(body)

    def post_batch(
        self,
        files: dict[str, bytes],
        options: dict[str, Any] | None = None,
        manifest: bytes | None = None,
        **headers: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """POST /v1/batches with these images, as curl would send them."""
        content_type, body = multipart(files, options, manifest)
        return self.request("POST", "/v1/batches", body, Content_Type=content_type, **headers)

    def finish(self, batch_id: str, timeout_s: float = 60.0) -> Any:
        """Poll a batch to its end and return it."""

        def ended() -> Any:
            _, batch = self.get(f"/v1/batches/{batch_id}?wait=5")
            return batch if batch and batch.get("finished_at") else None

        return until(ended, timeout_s, f"{batch_id} ends")

    def items(self, batch_id: str) -> list[dict[str, Any]]:
        """Every item of a batch, from the results stream."""
        _, _, body = self.request("GET", f"/v1/batches/{batch_id}/results")
        return [json.loads(line) for line in body.splitlines()]


@contextlib.contextmanager
def running(
    folder: Path, artifacts: list[Path], *names: str, database_url: str = "", **changed: Any
) -> Iterator[Stack]:
    """A stack in a folder, ready for use; it is killed at the end, whatever happened."""
    settings = replace(
        Settings(),
        data_dir=folder,
        database_url=database_url,
        broker_url=f"unix://{folder}/valkey.sock",
        port=free_port(),
        webhook_allowed_networks="127.0.0.0/8",
        min_free_bytes=0,
        **{**FAST, **changed},
    )
    stack = Stack(folder, settings)
    stack.prepare(artifacts)
    try:
        stack.start_valkey()
        stack.start(*(names or ("web", "bulk", "interactive", "webhooks", "sweep")))
        if not names or {"web", "bulk", "interactive"} <= set(names):
            stack.wait_ready()
        yield stack
    finally:
        stack.stop()
