"""`python -m web.server`: the web service, one process."""

import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn

from shared.errors import SettingsError
from shared.logs import configure
from shared.private_files import close_to_strangers
from shared.programs import bound, refused, starting
from shared.settings import Settings
from web.server.access_log import AccessLog, Lines
from web.server.asgi import App
from web.server.bridge import Bridge, Limits
from web.server.connection import uvicorn_options
from web.server.cross_origin import CrossOrigin
from web.server.front import Front
from web.server.metrics_address import MetricsAddress

if TYPE_CHECKING:
    from flask import Flask

    from web.service import Service

_STARTUP_FAILED = 3
log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn, which answers waiting requests at once when the drain begins."""

    def __init__(self, config: uvicorn.Config, service: "Service") -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        self._service.waiting.wakes.stop()
        await super().shutdown(sockets)
        self._service.stop()


def main() -> None:
    """Serve until SIGTERM; settings come from the environment."""
    try:
        with starting():
            settings = Settings.from_env()
            close_to_strangers(settings.data_dir)
    except SettingsError as error:
        raise refused(error) from error
    configure(settings.log_level)
    _raise_file_limit()
    config = uvicorn.Config("", timeout_graceful_shutdown=round(settings.drain_s), **uvicorn_options())
    try:
        with starting():
            # Listen first: clients that come while the application is put together wait and are not refused.
            sockets = _listening(settings, config.backlog)
            from web.app import create_app  # a second of imports, behind the open socket

            app = create_app(settings)
    except SettingsError as error:
        log.error("%s", error)
        raise SystemExit(_STARTUP_FAILED) from error
    service: Service = app.extensions["gonogo"]
    limits, front = Limits(threads=settings.web_threads), Front.of(settings)
    bridge = Bridge(app, service.waiting.wakes, streams_body(app), limits, front)
    origins = settings.origins
    served: App = CrossOrigin(bridge, origins) if origins else bridge
    served = served if settings.metrics_at is None else MetricsAddress(served, settings.metrics_at[1])
    lines = _lines(settings.access_log)
    config.app = served if lines is None else AccessLog(served, lines)
    # All that is loaded now lives as long as the process: a collection that walks it would halt every request.
    gc.collect()
    gc.freeze()
    # uvicorn raises the signal again once it has drained, for the handler that was there before: a drain ends cleanly.
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: sys.exit(0))
    try:
        _Server(config, service).run(sockets=sockets)
    finally:
        if lines is not None:
            lines.stop()


def _listening(settings: Settings, backlog: int) -> list[socket.socket]:
    """The socket of the service, and that of the metrics address where there is one. Raises SettingsError."""
    places = [(settings.host, settings.port), *([settings.metrics_at] if settings.metrics_at else [])]
    sockets = [bound(host, port) for host, port in places]
    for listening in sockets:
        listening.listen(backlog)
    return sockets


def _lines(target: str) -> Lines | None:
    """The access log that the settings ask for; ends the start with a line where it cannot be written."""
    try:
        return None if target == "off" else Lines(target)
    except OSError as error:
        log.error("GONOGO_ACCESS_LOG: %s: %s", target, error.strerror)
        raise SystemExit(_STARTUP_FAILED) from error


def streams_body(app: "Flask") -> Callable[[str, str], bool]:
    """Whether the view of a method and path reads its body as it arrives, by the routes of the application."""
    routes = app.url_map.bind("localhost")

    def streams(method: str, path: str) -> bool:
        if not routes.test(path, method):
            return False
        endpoint, _ = routes.match(path, method)
        return bool(getattr(app.view_functions[endpoint], "streams_body", False))

    return streams


def _raise_file_limit() -> None:
    """Each connection is a file: use all that the system allows this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
