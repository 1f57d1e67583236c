"""`gonogo up`: the embedded stack under one supervisor.

Valkey and the migrations start first, then web and workers together; the stack is ready when /readyz says so. It
stops in the opposite order: the web process stops accepting, the workers finish the chunks that they hold, and
Valkey goes last.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from shared.cli import service
from shared.cli.embedded import address, disposable, private, queue_log, stack
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded.stack import NotStarted
from shared.cli.embedded.supervise import Children
from shared.errors import SettingsError
from shared.settings import Settings

_START_S = 120.0
_TELL_AFTER_S = 5.0
_TELL_EVERY_S = 30.0
_EARLY_DEATHS = 4  # deaths of one child before the stack is ready, after which the setup is at fault


class _Stopped(Exception):
    """A signal asked for the end."""


@click.command(
    short_help="start the whole service here",
    epilog="Exit status: 0 stopped when asked; 1 it could not start; 2 usage, data dir or port in use.",
)
@click.option("--host", help="Address to listen on (GONOGO_HOST, 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (GONOGO_PORT, 8000).")
@service.data_dir_option("Where everything is kept (GONOGO_DATA_DIR, gonogo-data).")
@click.option("--workers", type=int, help="Inference processes (GONOGO_WORKERS, 2).")
def up(**asked: Any) -> int:
    """Start Valkey, web, workers and sweeper in one data dir and keep them running until SIGTERM or SIGINT."""
    settings = replace(
        Settings.from_env(), **{name: value for name, value in asked.items() if value is not None}
    )
    settings = replace(settings, data_dir=settings.data_dir.expanduser().resolve())
    if settings.workers < 1:
        raise SettingsError("--workers must be 1 or more")
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup asked us to ignore it
            signal.signal(number, lambda received, _: signals.append(received))
    for line in private.prepare(settings.data_dir):
        _say(line)
    held = data_dirs.lock(settings.data_dir)
    try:
        disposable.discard(settings.data_dir / "service-url")  # of a supervisor that was killed
        for name in data_dirs.end_survivors(settings.data_dir):
            _say(f"ended {name}, left by a supervisor that was killed")
        address.check_port(settings)
        return _supervise(settings, signals)
    finally:
        os.close(held)


def _supervise(settings: Settings, signals: list[int]) -> int:
    began = time.monotonic()
    settings, valkey_socket = data_dirs.with_broker(settings)
    disposable.make_folder(settings.data_dir / "logs")
    for log in (settings.data_dir / "logs").iterdir():
        disposable.clear(log)
    children = Children(settings.data_dir, stack.environment(settings), _say)
    try:
        key = _start(settings, children, valkey_socket, signals)
        data_dirs.keep_service_url(settings.data_dir, address.url(settings))
        _say(f"ready: {address.url(settings)} ({time.monotonic() - began:.1f} s)")
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
    """Start everything in order and wait until it is ready; returns the first key if it was made now."""
    # The logs go on over starts: an error of an earlier one explains nothing.
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if valkey_socket is None:
        from shared.broker import checks  # the library behind it takes a while to import

        checks.refuse_unusable(settings)
    else:
        broker = stack.valkey(settings, valkey_socket)
        broker.heal = queue_log.Guard(settings, _say).heal
        children.add(broker)
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
    waiting = _Waiting(children, since)
    for _ in _until(_START_S):
        children.look_after()
        if signals:
            raise _Stopped
        lacks = address.lacks(settings)
        waiting.tell(lacks)
        if lacks is None:
            for child in stack.upkeep():
                children.add(child)
            return key
        for child in children.all:
            if child.status == os.EX_CONFIG or child.failures >= _EARLY_DEATHS:
                words = stack.last_words(children.log(child.name))
                raise NotStarted(f"{child.name} cannot start: {words}")
    lacks = address.lacks(settings)
    raise NotStarted(
        f"not ready after {_START_S:g} s ({lacks}); see {settings.data_dir / 'logs'} and `gonogo doctor`"
    )


class _Waiting:
    """Says what a start waits for, once it takes longer than usual: when that changes, and every half minute."""

    def __init__(self, children: Children, since: str) -> None:
        self._children, self._told = children, ""
        self._since = since
        self._look_at = self._repeat_at = time.monotonic() + _TELL_AFTER_S

    def tell(self, lacks: str | None) -> None:
        """Say what /readyz lacks, with the newest error in the logs of the programs."""
        now = time.monotonic()
        if lacks is None or now < self._look_at:
            return
        self._look_at = now + _TELL_AFTER_S
        line = f"waiting for {lacks}; {self._words()}"
        if line != self._told or now >= self._repeat_at:
            self._told, self._repeat_at = line, now + _TELL_EVERY_S
            _say(line)

    def _words(self) -> str:
        for child in reversed(self._children.all):
            error = stack.last_error(self._children.log(child.name), self._since)
            if error is not None:
                return f"{child.name} says: {error}"
        return f"see {self._children.data_dir / 'logs'}"


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
    for noted in ("pids.json", "service-url"):
        disposable.discard(settings.data_dir / noted)
    if valkey_socket is not None and settings.data_dir not in valkey_socket.parents:
        with suppress(OSError):
            valkey_socket.parent.rmdir()


def _until(seconds: float) -> Iterator[None]:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        yield
        time.sleep(0.1)


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone; the stack stays
        print(line, flush=True)
