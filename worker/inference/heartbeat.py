"""A worker's heartbeat: a thread that renews the leases of the chunks in hand and says that the worker lives."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from shared.clock import now
from shared.lifecycle import leases, workers
from shared.lifecycle.claims import Claim
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.tallies import Tallies
from worker.inference.loaded import LoadedModels
from worker.inference.pace import Pace

log = logging.getLogger(__name__)


class Heartbeat:
    """Made once in each process. It registers the worker as soon as a model is loaded."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        who: workers.Identity,
        models: LoadedModels,
        pace: Pace,
        tallies: Tallies,
    ) -> None:
        self._settings, self._database, self._who = settings, database, who
        self._models, self._pace, self._tallies = models, pace, tallies
        self._held: Sequence[Claim] = ()
        self._items = 0
        self._progress_at: float | None = None

    @property
    def held(self) -> Sequence[Claim]:
        """The chunks in hand."""
        return self._held

    @contextmanager
    def holding(self, held: Sequence[Claim]) -> Iterator[None]:
        """Renew the leases of these chunks while they are worked on."""
        self._held = held
        try:
            yield
        finally:
            self._held = ()
            self._items += sum(len(claim.items) for claim in held)
            self._progress_at = now()

    def start(self, load: Callable[[], None]) -> None:
        """Begin. `load` is called at each beat while no model is loaded and no chunk is in hand."""

        def run() -> None:
            pause = threading.Event()
            while not pause.wait(self._settings.heartbeat_s):
                try:
                    self.beat()
                    if not self._models.ids and not self._held:
                        load()
                except Exception as error:  # a missed beat may not be the last: all leases would be lost
                    log.warning("no heartbeat: %s: %s", type(error).__name__, error)

        threading.Thread(target=run, name="heartbeat", daemon=True).start()

    def beat(self) -> None:
        """Renew the leases in hand and say that this worker lives."""
        held = self._held
        with self._database.write() as connection:
            for claim in sorted(held, key=lambda claim: claim.chunk_id):
                leases.renew(connection, claim.chunk_id, claim.token, self._settings.lease_s)
            listed = workers.beat(connection, self._who.id, self._progress)
        if not listed and self._models.ids:
            self.register()
        # After the leases, and in a transaction of its own: processes wait for each other at the rows of the tallies.
        self._tallies.write(self._database)

    def register(self) -> None:
        """Put this worker on the list of live workers."""
        engine = self._models.newest.engine
        with self._database.write() as connection:
            workers.register(
                connection, self._who, self._progress,
                device=engine.device, engine=engine.name, threads=engine.threads,
            )  # fmt: skip

    def leave(self) -> None:
        """Take this worker off the list of live workers."""
        self._tallies.write(self._database)
        with self._database.write() as connection:
            workers.leave(connection, self._who.id)

    @property
    def _progress(self) -> workers.Progress:
        return workers.Progress(self._models.ids, self._items, self._pace.items_per_s, self._progress_at)
