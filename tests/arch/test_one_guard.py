"""Connections to hosts that a client names pass one guard: read from the code of every program."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUARD, CONNECTOR = "shared/webhooks/addresses.py", "worker/webhooks/outbound.py"
# Modules that open connections to hosts which no client of the service names.
OWN = {
    "shared/broker/address.py": "the broker that the settings name",
    "shared/programs.py": "finds the address that the settings name, to listen on it",
    "web/server/program.py": "names the type of the sockets that the server listens on",
    "shared/client/transport.py": "the CLI's and the client's connection to the service",
    "shared/client/client.py": "takes the TLS settings of that connection",
    "shared/client/errors.py": "names the errors of that connection",
    "shared/cli/embedded/address.py": "asks the service of this machine",
    "shared/cli/commands/demo.py": "looks for a free port of this machine",
    "web/server/connection.py": "bounds what the system holds of an accepted connection",
    "worker/fetching/objects.py": "the object store that the settings name",
    "worker/fetching/urls.py": "reads the answer on the connection that outbound.py has made",
    "worker/process.py": "the name of this host",
    "worker/webhooks/post.py": "reads the answer on the connection that outbound.py has made",
}
NETWORK = {
    "socket",
    "ssl",
    "http",
    "urllib3",
    "requests",
    "httpx",
    "aiohttp",
    "ftplib",
    "telnetlib",
    "asyncio",
    "obstore",
}
OPENERS = {"open_connection", "create_connection", "urlopen", "urlretrieve", "getaddrinfo", "gethostbyname"}
JUDGEMENTS = {"is_private", "is_global", "is_loopback", "is_link_local", "is_reserved", "is_multicast"}


def reaches(tree: ast.AST) -> Iterator[str]:
    """Imports and calls by which a module could connect to a host."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_network(alias.name))
        elif isinstance(node, ast.ImportFrom) and _is_network(node.module or ""):
            yield str(node.module)
        elif isinstance(node, ast.Attribute) and node.attr in OPENERS:
            yield node.attr


def _is_network(module: str) -> bool:
    top = module.partition(".")[0]
    # The server's event loop is asyncio's; a connection by it is found as a call.
    return (top in NETWORK and top != "asyncio") or module.startswith("urllib.request")


def judges(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in JUDGEMENTS for node in ast.walk(tree))


def modules() -> Iterator[tuple[str, ast.AST]]:
    for folder in ("shared", "web", "worker"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_one_module_connects_to_the_hosts_that_clients_name() -> None:
    found = {name for name, tree in modules() if any(reaches(tree))}
    assert found == {CONNECTOR, GUARD, *OWN}, (
        "a connection to a host that a client names belongs in outbound.py"
    )


def test_one_module_judges_addresses() -> None:
    assert [name for name, tree in modules() if judges(tree)] == [GUARD]


def test_the_connector_asks_the_guard_before_it_connects() -> None:
    tree = ast.parse((ROOT / CONNECTOR).read_text(encoding="utf-8"))
    (connect,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "connect"]
    calls = [node for node in ast.walk(connect) if isinstance(node, ast.Call)]
    lines = {getattr(call.func, "id", ""): call.lineno for call in calls}
    assert lines["check_url"] < lines["_resolve"] < lines["judge"] < lines["_first_that_answers"]


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "from urllib.request import urlopen",
        "import urllib.request",
        "from http.client import HTTPConnection",
        "import requests",
        "import asyncio\nasync def f(): await asyncio.open_connection('h', 80)",
        "loop.getaddrinfo('h', 80)",
    ],
)
def test_a_second_connector_would_be_found(source: str) -> None:
    assert list(reaches(ast.parse(source)))


def test_a_second_judge_would_be_found() -> None:
    assert judges(ast.parse("ipaddress.ip_address(x).is_private"))
