"""The Celery application: `celery -A worker.app worker`.

Celery's parent process imports this and `worker.tasks` and hands messages on. Only its children, which are spawned,
work on images. So both modules import at their top the modules that the parent needs, and the others where they are
used.
"""

import gc
from functools import partial
from typing import TYPE_CHECKING

from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from shared.broker.tasks import celery_app
from shared.logs import configure
from shared.settings import Settings

if TYPE_CHECKING:
    from worker.inference.runtime import Runtime
    from worker.webhooks.dispatch import Dispatcher

settings = Settings.from_env()
app = celery_app(settings)
app.conf.imports = ("worker.tasks",)
_runtime: "Runtime | None" = None
_dispatcher: "Dispatcher | None" = None
_fetcher: "Dispatcher | None" = None


def runtime() -> "Runtime":
    """The runtime of this process."""
    global _runtime  # noqa: PLW0603 - one a process, made after the pool has started it
    if _runtime is None:
        from worker.inference.runtime import Runtime

        _runtime = Runtime(settings, app)
    return _runtime


def dispatcher() -> "Dispatcher":
    """The deliveries that this process has in hand."""
    global _dispatcher  # noqa: PLW0603 - one a process, as above
    if _dispatcher is None:
        from shared.store.engine import Database
        from shared.webhooks import lines
        from worker.webhooks.deliver import deliver
        from worker.webhooks.dispatch import Dispatcher

        database = Database(settings.database, durable=False, pool_size=3)
        _dispatcher = Dispatcher(database, partial(deliver, database, settings), lines)
    return _dispatcher


def fetcher() -> "Dispatcher":
    """The fetches of images that this process has in hand."""
    global _fetcher  # noqa: PLW0603 - one a process, as above
    if _fetcher is None:
        from shared.broker.connection import open_broker
        from shared.lifecycle import fetches
        from shared.store.engine import Database
        from worker.fetching.fetch import Place, fetch
        from worker.webhooks.dispatch import Dispatcher

        database = Database(settings.database, durable=False, pool_size=3)
        place = Place.open(settings, app, database, open_broker(settings))
        _fetcher = Dispatcher(database, partial(fetch, place), fetches)
    return _fetcher


def _start_telling() -> None:
    from shared.store.engine import Database
    from worker.webhooks.telling import Teller

    database = Database(settings.database, durable=False, pool_size=1)
    # Its thread is never stopped: a transaction that the end of the process cuts is told by the next process.
    Teller(database, settings.public_base, dispatcher().wake).start()


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log(**_: object) -> None:
    configure(settings.log_level)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _begin(**_: object) -> None:
    configure(settings.log_level)
    # Import here, so that the first task need not wait for it.
    if settings.lanes:
        runtime().start()
    else:
        _start_telling()
        fetcher()
    # The objects made so far live as long as the process: no garbage collection need walk them again.
    gc.collect()
    gc.freeze()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _end(**_: object) -> None:
    if settings.lanes and _runtime is not None:
        _runtime.heartbeat.leave()
    if _dispatcher is not None:
        _dispatcher.stop(settings.webhook_timeout_s + 1.0)
    if _fetcher is not None:
        _fetcher.stop(settings.drain_s / 2)
