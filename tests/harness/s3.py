"""An S3 API server on loopback, in a process of its own."""

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import obstore
from obstore.store import S3Store

from tests.harness.processes import free_port, until

# The server takes any; without them, a client would ask the network of a cloud for some.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Buckets:
    """The server; `put` makes an object, and its bucket where it is missing."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def make(self, bucket: str) -> None:
        request = urllib.request.Request(f"{self.endpoint}/{bucket}", method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            pass

    def put(self, bucket: str, key: str, data: bytes) -> str:
        """Keep an object; returns its URL."""
        store = S3Store(
            bucket, endpoint=self.endpoint, access_key_id="test", secret_access_key="test", region="us-east-1",
            client_options={"allow_http": True},
        )  # fmt: skip
        obstore.put(store, key, data)
        return f"s3://{bucket}/{key}"


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[Buckets]:
    """Start the server and wait until it answers."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, **CREDENTIALS}, stdout=log, stderr=log,
        )  # fmt: skip

    def answers() -> bool:
        try:
            with urllib.request.urlopen(endpoint, timeout=1):
                return True
        except OSError:
            return False

    try:
        until(answers, 60, f"the S3 server answers; log in {folder}")
        yield Buckets(endpoint)
    finally:
        process.terminate()
        process.wait(20)
