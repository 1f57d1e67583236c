"""`gonogo up`: the embedded stack under one supervisor.

Valkey and the migrations first, then web, workers and sweeper together; ready when /readyz says so. The order
of the end is the other way round: the web stops accepting, the workers finish what they hold, and Valkey
goes last.
"""

import argparse
import http.client
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import stack
from shared.cli.embedded.stack import NotStarted
from shared.cli.embedded.supervise import Children
from shared.errors import SettingsError
from shared.settings import Settings

_START_S = 120.0
_EARLY_DEATHS = 4  # of one child before the stack is ready: then something is wrong with the setup


class _Stopped(Exception):
    """A signal asked for the end."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "up",
        help="start the whole service here",
        description="Start Valkey, web, workers and sweeper in one data dir and keep them running.",
        epilog="Exit status: 0 stopped when asked; 1 it could not start; 2 usage, data dir or port in use.",
    )
    parser.add_argument("--host", help="address to listen on (GONOGO_HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (GONOGO_PORT, 8000)")
    parser.add_argument(
        "--data-dir", type=Path, help="where everything is kept (GONOGO_DATA_DIR, gonogo-data)"
    )
    parser.add_argument("--workers", type=int, help="inference processes (GONOGO_WORKERS, 2)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start, keep running until SIGTERM or SIGINT, drain, and leave nothing behind."""
    asked = {name: getattr(arguments, name) for name in ("host", "port", "data_dir", "workers")}
    settings = replace(
        Settings.from_env(), **{name: value for name, value in asked.items() if value is not None}
    )
    settings = replace(settings, data_dir=settings.data_dir.expanduser().resolve())
    if settings.workers < 1:
        raise SettingsError("--workers must be 1 or more")
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has asked not to be told
            signal.signal(number, lambda received, _: signals.append(received))
    held = data_dirs.lock(settings.data_dir)
    try:
        for name in data_dirs.end_survivors(settings.data_dir):
            _say(f"ended {name}, left by a supervisor that was killed")
        _check_port(settings)
        return _supervise(settings, signals)
    finally:
        os.close(held)


def _supervise(settings: Settings, signals: list[int]) -> int:
    began = time.monotonic()
    settings, valkey_socket = data_dirs.with_broker(settings)
    (settings.data_dir / "logs").mkdir(mode=0o700, exist_ok=True)
    children = Children(settings.data_dir, stack.environment(settings), _say)
    try:
        key = _start(settings, children, valkey_socket, signals)
        _say(f"ready: {_url(settings)} ({time.monotonic() - began:.1f} s)")
        if key:
            _say(f"admin key (shown once, kept in {settings.data_dir / 'admin-key'}): {key}")
        trimmed = time.monotonic()
        while not signals:
            children.look_after()
            if time.monotonic() - trimmed > 60.0:
                children.trim_logs()
                trimmed = time.monotonic()
            time.sleep(0.1)
    except _Stopped:
        pass
    finally:
        _stop(settings, children, valkey_socket, signals)
    _say("stopped")
    return 0


def _start(
    settings: Settings, children: Children, valkey_socket: Path | None, signals: list[int]
) -> str | None:
    """Start everything in order and wait until it is ready; the first key, where one was made."""
    if valkey_socket is not None:
        children.add(stack.valkey(settings, valkey_socket))
    migrations = children.run("migrations", stack.MIGRATIONS, _START_S, lambda: bool(signals))
    if signals:
        raise _Stopped
    if migrations != 0:
        raise NotStarted(
            f"the database could not be prepared: {stack.last_words(children.log('migrations'))}"
        )
    for child in stack.programs():
        children.add(child)
    key = None if data_dirs.admin_key(settings.data_dir) else stack.first_key(settings, children.environment)
    for _ in _until(_START_S):
        children.look_after()
        if signals:
            raise _Stopped
        if _is_ready(settings):
            for child in stack.upkeep():
                children.add(child)
            return key
        for child in children.all:
            if child.failures >= _EARLY_DEATHS:
                words = stack.last_words(children.log(child.name))
                raise NotStarted(f"{child.name} ended {child.failures} times: {words}")
    raise NotStarted(f"not ready after {_START_S:g} s; see {settings.data_dir / 'logs'} and `gonogo doctor`")


def _stop(settings: Settings, children: Children, valkey_socket: Path | None, signals: list[int]) -> None:
    """Web, then the rest, then Valkey; a second signal kills."""
    before = len(signals)

    def hurry() -> bool:
        return len(signals) > max(before, 1)

    named = {child.name: child for child in children.all}
    first = [child for child in named.values() if child.name == "web"]
    last = [child for child in named.values() if child.name == "valkey"]
    middle = [child for child in named.values() if child not in first and child not in last]
    for group in (first, middle, last):
        children.stop(group, settings.drain_s + 5.0, hurry)
    (settings.data_dir / "pids.json").unlink(missing_ok=True)
    if valkey_socket is not None and settings.data_dir not in valkey_socket.parents:
        with suppress(OSError):
            valkey_socket.parent.rmdir()


def _reachable(settings: Settings) -> str:
    """The address at which this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104


def _url(settings: Settings) -> str:
    host = _reachable(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _is_ready(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(_reachable(settings), settings.port, timeout=5.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _check_port(settings: Settings) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error


def _until(seconds: float) -> Iterator[None]:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        yield
        time.sleep(0.1)


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone; the stack stays
        print(line, flush=True)
