"""gunicorn's settings: one process with threads. A waiting poll costs a sleeping thread, not a process."""

import gc
import signal
from typing import Any

from shared.settings import Settings

_settings = Settings.from_env()
bind = f"{_settings.host}:{_settings.port}"
workers = 1
worker_class = "gthread"
threads = _settings.web_threads
worker_connections = threads + 1000  # clients that lie idle on a kept connection must not shut others out
timeout = 0  # an upload may take as long as its bytes keep coming
graceful_timeout = round(_settings.drain_s)
keepalive = 75
backlog = 2048
worker_tmp_dir = "/dev/shm"  # noqa: S108 - the heartbeat file must not wait for a disk
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Two things before the first request."""
    # What is loaded now lives as long as the process: a collection that walks it all halts every request meanwhile.
    gc.collect()
    gc.freeze()
    _answer_polls_at_drain(worker)


def _answer_polls_at_drain(worker: Any) -> None:
    """Answer waiting polls as the drain begins, or it would wait for them; gunicorn has no hook at SIGTERM."""
    drain = signal.getsignal(signal.SIGTERM)

    def begin(number: int, frame: Any) -> None:
        _service(worker).waiting.stop()
        if callable(drain):
            drain(number, frame)

    signal.signal(signal.SIGTERM, begin)


def worker_int(worker: Any) -> None:
    """The same at Ctrl-C."""
    _stop(worker)


def worker_exit(server: Any, worker: Any) -> None:
    """Send what the announcer still holds."""
    _stop(worker)


def _stop(worker: Any) -> None:
    service = _service(worker)
    if service is not None:
        service.waiting.stop()
        service.announcer.stop()


def _service(worker: Any) -> Any:
    return getattr(getattr(worker, "wsgi", None), "extensions", {}).get("gonogo")
