"""The sweep: runs the steps again and again, and heals a bounded number of damages a pass.

Any number of sweeps may run, since each mending is a compare-and-set.
"""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable

import redis
from sqlalchemy.exc import SQLAlchemyError

from shared.settings import Settings
from worker.upkeep.site import Site, open_site
from worker.upkeep.steady import ClockInDoubt, NotNow
from worker.upkeep.steps import counters
from worker.upkeep.steps.every import PLAN
from worker.upkeep.steps.step import Step

_AT_ONCE = 500
_RECOUNT_EVERY_S = 60.0
_RECOUNT_OVERLAP_S = 10.0  # a batch may end while the last look runs
log = logging.getLogger(__name__)


class Sweep:
    """A sweep process: its connections, and when it last took each step."""

    def __init__(self, settings: Settings) -> None:
        self.site: Site = open_site(settings)
        self._taken_at: dict[str, float] = {}

    def run_once(self) -> None:
        """A pass. A step that fails does not keep the others from running."""
        for step, often in PLAN:
            if self._is_due(step.NAME, often(self.site.settings)):
                self._try(step.NAME, lambda step=step: heal(self.site, step, _AT_ONCE))  # type: ignore[misc]
        if self._is_due("recount", _RECOUNT_EVERY_S):
            within_s = _RECOUNT_EVERY_S + _RECOUNT_OVERLAP_S
            self._try(counters.NAME, lambda: counters.tell(self.site, _AT_ONCE, within_s))

    def _is_due(self, name: str, every_s: float) -> bool:
        now = time.monotonic()
        if math.isinf(every_s) or now - self._taken_at.get(name, -math.inf) < every_s:
            return False
        self._taken_at[name] = now
        return True

    def _try(self, name: str, run: Callable[[], None]) -> None:
        try:
            run()
        except ClockInDoubt as doubt:
            log.debug("%s put off: %s", name, doubt)
        except (NotNow, SQLAlchemyError, redis.RedisError, OSError) as error:
            log.warning("%s put off: %s", name, error)


def heal(site: Site, step: Step, most: int) -> None:
    """Find and mend at most `most` damages of one kind."""
    found = step.find(site, most)
    if found:
        step.mend(site, found)


def run(sweep: Sweep) -> None:
    """Sweep until SIGTERM."""
    stop = threading.Event()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: stop.set())
    while not stop.is_set():
        sweep.run_once()
        stop.wait(sweep.site.settings.sweep_s)
