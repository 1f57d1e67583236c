"""A real nginx in front of a service, in the four ways that people usually set it up."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.processes import end_all, free_port, listens, until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
# default: nginx hides the host and takes 1 MB. https: TLS ends in front of nginx. prefix: other services share the
# host, and the prefix is taken off the path. renamed: the service sees a name of the inner network.
_SERVERS = {
    "default": "location / {{ proxy_pass {service}; }}",
    "https": """
      client_max_body_size 0;
      location / {{
        proxy_pass {service};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto https;
        proxy_set_header X-Forwarded-For $remote_addr;
      }}""",
    "prefix": """
      client_max_body_size 0;
      location /gonogo/ {{
        proxy_pass {service}/;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Prefix /gonogo;
        proxy_set_header X-Forwarded-Proto http;
      }}""",
    "renamed": """
      client_max_body_size 0;
      location / {{
        proxy_pass {service};
        proxy_set_header Host inspect.plant.example;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_read_timeout {read_timeout_s}s;
      }}""",
}
SETUPS = tuple(_SERVERS)


def needs_nginx() -> None:
    """Skip the test without nginx; fail it in CI."""
    if NGINX is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs nginx (apt-get install nginx-light)")


@contextlib.contextmanager
def in_front(
    folder: Path, services: dict[str, str], *, ports: dict[str, int] | None = None, read_timeout_s: int = 60
) -> Iterator[dict[str, str]]:
    """nginx before the service that `services` names for each set-up; gives the URL on the wire of each set-up."""
    ports = ports or {name: free_port() for name in services}
    servers = "\n".join(
        f"  server {{ listen 127.0.0.1:{ports[name]}; "
        + _SERVERS[name].format(service=service, read_timeout_s=read_timeout_s)
        + " }"
        for name, service in services.items()
    )
    (folder / "nginx.conf").write_text(
        # Started by root, nginx would work as a user that may not write into this folder.
        f"""{"user root;" if os.geteuid() == 0 else ""}
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/tmp_b; proxy_temp_path {folder}/tmp_p; fastcgi_temp_path {folder}/tmp_f;
  uwsgi_temp_path {folder}/tmp_u; scgi_temp_path {folder}/tmp_s;
  gzip on; gzip_types application/json; gzip_proxied any; gzip_min_length 20;
{servers}
}}
"""
    )
    server = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", "nginx.conf"], stdin=subprocess.DEVNULL)
    try:
        until(lambda: all(map(listens, ports.values())), 10, f"nginx listens; its log is in {folder}")
        yield {
            name: f"http://127.0.0.1:{port}" + ("/gonogo" if name == "prefix" else "")
            for name, port in ports.items()
        }
    finally:
        end_all([server], 10)
