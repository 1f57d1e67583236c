"""A real PgBouncer in transaction mode, in front of the PostgreSQL server of this session."""

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.harness.processes import free_port, listens, until

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@functools.cache
def _port(host: str, port: int, user: str) -> int:
    # The folder of PostgreSQL's socket lets only its own user in, and the pooler refuses to run as root.
    owner = pwd.getpwuid(Path(host).stat().st_uid).pw_name
    folder = Path(tempfile.mkdtemp(prefix="gonogo-pgbouncer-"))
    folder.chmod(0o777)
    listen = free_port()
    (folder / "pgbouncer.ini").write_text(
        f"""
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 10
server_idle_timeout = 2
user = {owner}
"""
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(PGBOUNCER), str(folder / "pgbouncer.ini")], stdout=log, stderr=log)
    atexit.register(server.kill)
    until(lambda: listens(listen), 10, f"PgBouncer listens; its log is {folder / 'log'}")
    return listen


def needs_pooler() -> None:
    """Skip the test without PgBouncer; fail it in CI."""
    if PGBOUNCER is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs pgbouncer (apt-get install pgbouncer)")


def through_pooler(url: str) -> str:
    """The URL of the same database by way of a pooler, which the first call starts."""
    direct = make_url(url)
    socket_dir, port = str(direct.query["host"]), int(str(direct.query.get("port", 5432)))
    listen = _port(socket_dir, port, direct.username or "postgres")
    pooled = direct.set(host="127.0.0.1", port=listen, password=None, query={"pgbouncer": "true"})
    return pooled.render_as_string(hide_password=False)
